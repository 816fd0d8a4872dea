import { describe, expect, it } from 'vitest';
import { groupSpec, readGroupSpec } from '../../../src/cluster/group-spec.js';

describe('readGroupSpec', () => {
  it('puts the defaults in', () => {
    expect(readGroupSpec({ bundles: [{ CPU: 1 }] })).toEqual(groupSpec({ bundles: [{ CPU: 1 }] }));
    expect(readGroupSpec({ bundles: [{ CPU: 1 }] })).toMatchObject({
      name: '',
      namespace: 'default',
      lifetime: 'owner',
      strategy: 'PACK',
      hold: 'serving',
      tensorParallel: 1,
    });
  });

  it.each([
    [null, /expected an object for `a group` but received null/],
    [[], /expected an object/],
    [{ name: 7 }, /`name` but received 7/],
    [{ name: 'x'.repeat(300) }, /at most 256 characters for `name`/],
    [{ namespace: null }, /`namespace`/],
    [{ softTarget: 4 }, /text or null for `softTarget`/],
    [{ hold: 'forever' }, /"serving" or "stateful" for `hold` but received "forever"/],
    [{ lifetime: 'job' }, /`lifetime` but received "job"/],
    [{ bundels: [] }, /unknown field `bundels`/],
  ])('refuses %j', (value, message) => {
    expect(() => readGroupSpec(value)).toThrow(message);
    expect(() => readGroupSpec(value)).toThrow(expect.objectContaining({ code: 'PLACEMENT_INVALID' }));
  });
});
