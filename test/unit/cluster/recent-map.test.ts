import { describe, expect, it } from 'vitest';
import { RecentMap } from '../../../src/cluster/recent-map.js';

describe('recent map', () => {
  it('keeps what was set last, oldest first, also after many rounds', () => {
    const map = new RecentMap<string, number>(3);
    expect([...map.values()]).toEqual([]);
    for (let i = 1; i <= 2; i++) map.set(`k${i}`, i);
    expect([...map.values()]).toEqual([1, 2]);
    for (let i = 3; i <= 100; i++) map.set(`k${i}`, i);
    expect([...map.values()]).toEqual([98, 99, 100]);
    expect([0, 2, 9].map((last) => [...map.values(last)])).toEqual([[], [99, 100], [98, 99, 100]]);
    expect(map.get('k97')).toBeUndefined();
    expect(map.get('k98')).toBe(98);
  });

  it('takes a new value for a key without forgetting another', () => {
    const map = new RecentMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    map.set('a', 3);
    expect([...map.values()]).toEqual([3, 2]);
    map.set('c', 4);
    expect([...map.values()]).toEqual([2, 4]);
  });
});
