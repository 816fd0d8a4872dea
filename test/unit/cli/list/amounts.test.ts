import { describe, expect, test } from 'vitest';
import { exact, few, shortId, shortUuid, usage } from '../../../../src/cli/list/amounts.js';
import { GIB } from './fixtures.js';

describe('amounts', () => {
  test('bytes share a unit where they can, and binary noise is gone', () => {
    const of = (total: number, free: number) =>
      usage({ resources: { memory: total }, available: { memory: free } }, 'memory');
    expect(of(64 * GIB, 64 * GIB)).toBe('0/64.0 GiB');
    expect(of(64 * GIB, 64 * GIB - 2 ** 20)).toBe('1.0 MiB/64.0 GiB');
    expect(of(64 * GIB, 0)).toBe('64.0/64.0 GiB');
    expect(usage({ resources: { GPU: 1 }, available: { GPU: 0.7 } }, 'GPU')).toBe('0.3/1');
    expect(usage({ resources: {}, available: {} }, 'GPU')).toBe('-');
    expect(exact(0.1 + 0.2)).toBe('0.3');
  });

  test('long lists end in a count; long uuids in their first part', () => {
    expect([few([]), few(['a', 'b']), few(['a', 'b', 'c'], 2)]).toEqual(['-', 'a,b', 'a,b +1']);
    expect(shortUuid('GPU-8f4e2a1c-0001-0002-0003-000400050006')).toBe('GPU-8f4e2a1c');
    expect([shortId('a1b2c3d4e5f60718'), shortId('8499ed73-432d-4e86-a619-46ecb9e324c0')]).toEqual([
      'a1b2c3d4e5f60718',
      '8499ed73-432…',
    ]);
    expect(shortUuid('GPU-fake-0003')).toBe('GPU-fake-0003');
  });
});
