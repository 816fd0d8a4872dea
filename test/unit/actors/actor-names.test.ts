import { describe, expect, it } from 'vitest';
import { ActorNames } from '../../../src/actors/actor-names.js';

describe('names of actors', () => {
  it('are each one’s in its namespace', () => {
    const names = new ActorNames();
    names.take('a', 'x', '1');
    names.take('b', 'x', '2');
    names.take('a","x', '', '3'); // no name is nobody's
    names.take('', 'a","x', '4');
    expect([names.find('a', 'x'), names.find('b', 'x'), names.find('a', 'y')]).toEqual(['1', '2', null]);
    expect(() => names.take('a', 'x', '5')).toThrow(expect.objectContaining({ code: 'ACTOR_NAME_TAKEN' }));
    expect(names.list('a')).toEqual([{ namespace: 'a', name: 'x' }]);
    expect(names.list(null)).toHaveLength(3);
  });

  it('are freed by who has them only', () => {
    const names = new ActorNames();
    names.take('a', 'x', '1');
    names.free('a', 'x', '2');
    expect(names.find('a', 'x')).toBe('1');
    names.free('a', 'x', '1');
    names.take('a', 'x', '2');
    expect(names.find('a', 'x')).toBe('2');
  });
});
