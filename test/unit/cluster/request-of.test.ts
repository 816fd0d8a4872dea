import { describe, expect, it } from 'vitest';
import { groupSpec, readGroupSpec } from '../../../src/cluster/group-spec.js';
import { requestOf } from '../../../src/cluster/request-of.js';
import { isMonotone, shapeKey } from '../../../src/cluster/request-shape.js';

const lease = (task: unknown, some: object = {}) => readGroupSpec({ bundles: [{}], task, ...some });
const compiled = (task: unknown, some: object = {}) => requestOf(lease(task, some));

describe('the spec of a lease', () => {
  it('is that of a task that says nothing, unless it says something', () => {
    const task = { strategy: { kind: 'default' }, preferred: null, fallbacks: [], needs: null };
    expect(lease({})).toEqual(groupSpec({ bundles: [{}], task: {} }));
    expect(lease({}).task).toEqual(task);
    expect(lease(null).task).toBeNull();
    expect(lease(undefined).task).toBeNull();
    const hard = { kind: 'node-affinity', node: 'n', soft: false };
    expect(lease({ strategy: hard }).task?.strategy).toEqual({
      ...hard,
      spillOnUnavailable: false,
      failOnUnavailable: false,
    });
  });

  it.each([
    [{ task: 5 }, /`task` but received 5/],
    [{ task: { toString: 1 } }, /unknown field `toString` of `task`/],
    [{ task: { strategy: 'spread' } }, /`task.strategy` but received "spread"/],
    [{ task: { strategy: { kind: 'SPREAD' } } }, /default, spread or node-affinity for `task.strategy.kind`/],
    [{ task: { strategy: { kind: 'spread', node: 'n' } } }, /of kind spread has no field node/],
    [{ task: { strategy: { kind: 'node-affinity', soft: true } } }, /the id of a node for `task.strategy.node`/],
    [{ task: { strategy: { kind: 'node-affinity', node: 'n' } } }, /`task.strategy.soft`/],
    [{ task: { strategy: { kind: 'node-affinity', node: 'n', soft: true, failOnUnavailable: true } } }, /soft: false/],
    [{ task: { strategy: { kind: 'node-affinity', nodeId: 'n', soft: true } } }, /no field nodeId/],
    [{ task: { preferred: 1 } }, /text for `task.preferred`/],
    [{ task: { fallbacks: {} } }, /a list of selectors for `task.fallbacks`/],
    [{ task: { fallbacks: [{ zone: 'in(' }] } }, /`task.fallbacks\[0\]`/],
    [{ task: { needs: 1 } }, /`task.needs`/],
    [{ task: { needs: { CPU: -1 } } }, /0 or more for `task.needs.CPU`/],
    [{ task: {}, bundles: [{}, {}] }, /one bundle for `bundles` but received a list of 2/],
    [{ task: {}, bundles: [{ CPU: '1' }] }, /a number for `bundles\[0\].CPU`/],
    [{ task: {}, selectors: [{}, {}] }, /one selector for `selectors`/],
    [{ task: {}, strategy: 'SPREAD' }, /are of groups/],
    [{ task: {}, tensorParallel: 2 }, /are of groups/],
    [{ task: {}, namespace: '' }, /a name for `namespace`/],
    [{ task: null }, /asks for nothing/],
  ])('refuses %j', (some, words) => {
    const act = () => requestOf(readGroupSpec({ bundles: [{}], ...some }));
    expect(act).toThrow(words);
    expect(act).toThrow(expect.objectContaining({ code: 'PLACEMENT_INVALID' }));
  });

  it('asks for what it holds, and for what it needs where that is more', () => {
    const asked = (held: object, needs: object | null) => {
      const request = compiled({ needs }, { bundles: [held] });
      return 'held' in request ? [Object.fromEntries(request.resources), Object.fromEntries(request.held)] : null;
    };
    expect(asked({}, null)).toEqual([{}, {}]);
    expect(asked({ GPU: 0.5, CPU: 2 }, { CPU: 1, memory: 1 })).toEqual([
      { GPU: 5000, CPU: 20_000, memory: 10_000 },
      { GPU: 5000, CPU: 20_000 },
    ]);
  });

  it('waits as one of many whatever node it prefers and whatever it keeps', () => {
    const keys = [{ preferred: 'a' }, { preferred: 'b' }, {}].map((task) => shapeKey(compiled(task)));
    expect(new Set(keys).size).toBe(1);
    expect(shapeKey(compiled({ needs: { CPU: 1 } }))).toBe(shapeKey(compiled({}, { bundles: [{ CPU: 1 }] })));
    const others = [
      compiled({ needs: { CPU: 1 } }),
      compiled({ strategy: { kind: 'spread' } }),
      compiled({ fallbacks: [{ zone: 'a' }] }),
      compiled({}, { selectors: [{ zone: 'a' }] }),
      requestOf(groupSpec({ bundles: [{ CPU: 1 }] })),
    ].map(shapeKey);
    expect(new Set([...keys, ...others]).size).toBe(6);
    expect(isMonotone(compiled({}))).toBe(true);
  });
});
