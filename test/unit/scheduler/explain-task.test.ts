import { describe, expect, it } from 'vitest';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { explainTask } from '../../../src/scheduler/explain-task.js';
import { take } from '../../../src/scheduler/free.js';
import { parseNodes } from '../../../src/scheduler/node-spec.js';
import { compileTask, type WrittenTask } from '../../../src/scheduler/validate-task.js';

/** `a` is full, `b` is free, `c` takes no work. */
function why(task: Omit<WrittenTask, 'kind'>): string[] {
  const state = new ClusterState();
  const nodes = ['a', 'b', 'c'].map((zone) => {
    return { id: zone, resources: { CPU: 2 }, labels: { zone }, unschedulable: zone === 'c' };
  });
  for (const { schedulable, ...spec } of parseNodes(nodes, 'nodes')) state.addNode(spec, schedulable);
  const view = state.node('a');
  const taken = view === null ? null : take(view.free, new Map([['CPU', 20_000]]));
  if (taken !== null) state.claim('a', taken.grant);
  const { request } = compileTask({ kind: 'task', ...task });
  return explainTask(state, request).map(({ node, kind, reason }) => `${node} ${kind}: ${reason}`);
}

const affinity = (nodeId: string, soft: boolean, more: object = {}) => ({
  schedulingStrategy: { nodeId, soft, ...more },
});

describe('why a task is not placed', () => {
  it('says of each node what it lacks', () => {
    expect(why({})).toEqual([
      'a busy: CPU 0 free of 2, needed 1',
      'b available: has room for CPU 1',
      expect.stringMatching(/^c not-schedulable: /),
    ]);
    expect(why({ numCpus: 3 })[1]).toBe('b infeasible: has only CPU 2 of the 3 needed, even when empty');
    expect(why({ numCpus: 0 })[0]).toMatch(/^a available/);
  });

  it('judges by the selector that counts', () => {
    const task = { labelSelector: { zone: 'x' }, fallbackStrategy: [{ labelSelector: { zone: 'a' } }] };
    expect(why(task).slice(0, 2)).toEqual([
      'a busy: CPU 0 free of 2, needed 1',
      'b infeasible: has zone = b; asked is zone = a',
    ]);
    expect(why({ labelSelector: { zone: 'x' } })[0]).toBe('a infeasible: has zone = a; asked is zone = x');
  });

  it('says who is not asked because of an affinity', () => {
    expect(why(affinity('a', false))).toEqual([
      'a busy: CPU 0 free of 2, needed 1',
      'b infeasible: is not a, and the task may run nowhere else',
      expect.stringMatching(/^c not-schedulable/),
    ]);
    expect(why(affinity('a', true))[1]).toBe('b busy: is not asked: the task waits for a, and does not spill');
    expect(why(affinity('a', true, { spillOnUnavailable: true }))[1]).toMatch(/^b available/);
    expect(why(affinity('c', true))[1]).toMatch(/^b available/);
    expect(why({ ...affinity('a', true), numCpus: 3 })[1]).toMatch(/^b infeasible: has only/);
    expect(why(affinity('moon', false))[0]).toMatch(/^a infeasible: is not moon/);
  });
});
