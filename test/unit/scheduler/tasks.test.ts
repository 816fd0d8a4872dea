import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allFree, take } from '../../../src/scheduler/free.js';
import { parseNodes } from '../../../src/scheduler/node-spec.js';
import { toResources } from '../../../src/scheduler/resources.js';
import { placeTask } from '../../../src/scheduler/tasks.js';
import type { Grant, NodeView, TaskPlacement } from '../../../src/scheduler/types.js';
import { compileTask, type WrittenTask } from '../../../src/scheduler/validate-task.js';

/** Nodes on which tasks stay. */
class Nodes {
  readonly views = new Map<string, NodeView>();
  cursor = 0;

  constructor(written: readonly object[]) {
    parseNodes(written, 'nodes').forEach(({ schedulable, ...spec }, order) => {
      this.views.set(spec.id, { spec, order, free: allFree(spec), schedulable });
    });
  }
  node(id: string): NodeView | null {
    return this.views.get(id) ?? null;
  }
  nodes(): Iterable<NodeView> {
    return this.views.values();
  }
  use(id: string, quantities: Record<string, number>): Grant {
    const view = this.views.get(id) as NodeView;
    const taken = take(view.free, toResources(quantities));
    if (taken === null) throw new Error(`${id} has no such thing free`);
    this.views.set(id, { ...view, free: taken.free });
    return taken.grant;
  }
  ask(task: Omit<WrittenTask, 'kind'>, random = 0): TaskPlacement {
    const { request } = compileTask({ kind: 'task', ...task });
    const placement = placeTask(this, request, { random, cursor: this.cursor });
    this.cursor = placement.cursor;
    return placement;
  }
  /** Ask, and take what was given. */
  run(task: Omit<WrittenTask, 'kind'>, random = 0): string {
    const placement = this.ask(task, random);
    if (placement.outcome !== 'placed') return `${placement.outcome} ${placement.node}`;
    this.use(placement.node, Object.fromEntries([...placement.grant.resources].map(([name, n]) => [name, n / 10_000])));
    return placement.node;
  }
}

const trio = () =>
  new Nodes([
    { id: 'head', resources: { CPU: 2 } },
    { id: 'gpu', resources: { CPU: 4, GPU: 4 } },
    { id: 'cpu', resources: { CPU: 4 } },
  ]);
const repeat = (count: number, act: () => string) => Array.from({ length: count }, act);

describe('the default policy', () => {
  test('does as a cluster of Ray did: own node, then the others, GPU nodes last', () => {
    const nodes = trio();
    expect(repeat(9, () => nodes.run({ preferred: 'head' }))).toEqual([
      ...['head', 'cpu', 'cpu', 'head', 'cpu', 'cpu', 'gpu', 'gpu'],
      'gpu',
    ]);
  });

  test('queues work without GPU on any node that is big enough when none is free', () => {
    const nodes = trio();
    for (const [id, CPU] of [
      ['head', 2],
      ['cpu', 4],
      ['gpu', 4],
    ] as const)
      nodes.use(id, { CPU });
    expect(nodes.ask({ preferred: 'head' })).toMatchObject({ outcome: 'pending', node: 'head' });
    const answer = nodes.ask({ numCpus: 3 });
    expect(answer).toMatchObject({ outcome: 'pending', node: 'cpu', reason: expect.stringContaining('2 nodes could') });
  });

  test('does not keep work without GPU away from NPU nodes', () => {
    const nodes = new Nodes([
      { id: 'a', resources: { CPU: 4, NPU: 8 } },
      { id: 'b', resources: { CPU: 4, GPU: 1 } },
    ]);
    expect(nodes.run({ preferred: 'b' })).toBe('a');
    expect(nodes.run({ preferred: 'b', numGpus: 1 })).toBe('b');
  });

  test('draws among the least used fifth of all nodes, by score and id', () => {
    const nodes = new Nodes([{ id: 'n', count: 10, resources: { CPU: 4, memory: 10 } }]);
    nodes.use('n-0', { CPU: 3 });
    nodes.use('n-1', { memory: 6 });
    nodes.use('n-2', { CPU: 1 });
    expect(nodes.ask({}, 0)).toMatchObject({ node: 'n-2' });
    expect(nodes.ask({}, 0.49)).toMatchObject({ node: 'n-2' });
    expect(nodes.ask({}, 0.5)).toMatchObject({ node: 'n-3' });
    expect(nodes.ask({}, 0.999)).toMatchObject({ node: 'n-3' });
    expect(nodes.ask({ preferred: 'n-1' })).toMatchObject({ node: 'n-2' });
    expect(nodes.ask({ preferred: 'n-7' })).toMatchObject({ node: 'n-7' });
  });

  test('does not count used GPUs as use', () => {
    const nodes = new Nodes([{ id: 'n', count: 2, resources: { CPU: 4, GPU: 4 } }]);
    nodes.use('n-0', { GPU: 3 });
    expect(nodes.ask({ numGpus: 1 })).toMatchObject({ node: 'n-0' });
  });

  test('sees that no single device holds what is free in sum', () => {
    const nodes = new Nodes([{ id: 'n', resources: { CPU: 4, GPU: 2 } }]);
    nodes.use('n', { GPU: 0.5 });
    nodes.use('n', { GPU: 0.7 });
    expect(nodes.run({ numGpus: 0.6 })).toBe('pending n');
    expect(nodes.run({ numGpus: 0.5 })).toBe('n');
  });

  test('puts work that needs nothing on any node that is alive, full or not', () => {
    const nodes = new Nodes([
      { id: 'a', resources: { CPU: 1 } },
      { id: 'b', resources: { CPU: 1 }, unschedulable: true },
      { id: 'c', resources: { CPU: 1 } },
    ]);
    nodes.use('c', { CPU: 1 });
    const drawn = [0, 0.4, 0.5, 0.99].map((random) => nodes.run({ numCpus: 0 }, random));
    expect(drawn).toEqual(['a', 'a', 'c', 'c']);
  });

  test('is infeasible where no node is big enough, and says so', () => {
    expect(trio().ask({ numGpus: 5 })).toMatchObject({
      outcome: 'infeasible',
      node: null,
      reason: 'none of 3 nodes has GPU 5, CPU 1',
    });
    expect(new Nodes([{ resources: { CPU: 1 }, unschedulable: true }]).ask({})).toMatchObject({
      outcome: 'infeasible',
      reason: 'no node is alive',
    });
  });
});

describe('SPREAD', () => {
  test('goes round over the ids in order, over those that are free', () => {
    const nodes = trio();
    const spread = () => nodes.run({ schedulingStrategy: 'SPREAD' });
    expect(repeat(6, spread)).toEqual(['cpu', 'gpu', 'head', 'cpu', 'gpu', 'head']);
    expect(repeat(4, spread)).toEqual(['cpu', 'gpu', 'cpu', 'gpu']);
    expect(repeat(3, spread)).toEqual(['pending head', 'pending cpu', 'pending gpu']);
  });

  test('works with any cursor', () => {
    const nodes = trio();
    for (const cursor of [-4, 2, 5, 1e9]) {
      nodes.cursor = cursor;
      expect(nodes.ask({ schedulingStrategy: 'SPREAD' })).toMatchObject({ outcome: 'placed' });
      expect(nodes.cursor).toBeLessThan(3);
    }
  });
});

describe('node affinity', () => {
  const to = (nodeId: string, soft: boolean, more: object = {}) => ({ schedulingStrategy: { nodeId, soft, ...more } });
  const busy = () => {
    const nodes = trio();
    nodes.use('cpu', { CPU: 4 });
    return nodes;
  };

  test.each([
    ['placed there', trio, to('cpu', false), { outcome: 'placed', node: 'cpu' }],
    ['waits there', busy, to('cpu', false), { outcome: 'pending', node: 'cpu' }],
    ['waits there though soft', busy, to('cpu', true), { outcome: 'pending', node: 'cpu' }],
    ['spills', busy, to('cpu', true, { spillOnUnavailable: true }), { outcome: 'placed', node: 'head' }],
    ['fails', busy, to('cpu', false, { failOnUnavailable: true }), { outcome: 'refused', node: 'cpu' }],
    ['refused: unknown', trio, to('moon', false), { outcome: 'refused', reason: /moon is not known/ }],
    [
      'refused: too small',
      trio,
      { ...to('cpu', false), numCpus: 5 },
      { outcome: 'refused', reason: /CPU 4 in total, not CPU 5/ },
    ],
    [
      'refused: labels',
      trio,
      { ...to('cpu', false), labelSelector: { zone: 'a' } },
      { outcome: 'refused', reason: /labels/ },
    ],
    ['elsewhere: unknown', trio, to('moon', true), { outcome: 'placed', node: 'cpu' }],
    ['elsewhere: too small', trio, { ...to('head', true), numCpus: 3 }, { outcome: 'placed', node: 'cpu' }],
    ['nowhere', trio, { ...to('head', true), numCpus: 30 }, { outcome: 'infeasible', node: null }],
  ])('%s', (_what, nodes, task, expected) => {
    const { reason, ...rest } = expected as { reason?: RegExp };
    const answer = nodes().ask(task);
    expect(answer).toMatchObject(rest);
    if (reason !== undefined) expect('reason' in answer && answer.reason).toMatch(reason);
  });

  test('refuses a node that takes no work', () => {
    const nodes = new Nodes([
      { id: 'a', resources: { CPU: 1 }, unschedulable: true },
      { id: 'b', resources: { CPU: 1 } },
    ]);
    expect(nodes.ask(to('a', false))).toMatchObject({ outcome: 'refused', reason: expect.stringContaining('no work') });
    expect(nodes.run(to('a', true))).toBe('b');
  });
});

describe('label selectors', () => {
  const zones = () =>
    new Nodes([
      { id: 'a', resources: { CPU: 1 }, labels: { zone: 'a' } },
      { id: 'b', resources: { CPU: 2 }, labels: { zone: 'b' } },
    ]);

  test('are hard, and fall back only when no node has them and the room', () => {
    const nodes = zones();
    const task = { labelSelector: { zone: 'a' }, fallbackStrategy: [{ labelSelector: { zone: 'b' } }] };
    expect(nodes.run(task)).toBe('a');
    expect(nodes.run(task)).toBe('pending a');
    expect(nodes.run({ ...task, numCpus: 2 })).toBe('b');
    expect(nodes.ask({ labelSelector: { zone: 'c' } })).toMatchObject({
      outcome: 'infeasible',
      reason: 'none of 2 nodes has CPU 1 on a node with zone = c',
    });
    expect(nodes.run({ labelSelector: { 'ray.io/node-id': 'a' } })).toBe('pending a');
  });
});

test('never gives what is not free, and never leaves the candidates', () => {
  const task = fc.record({ numCpus: fc.integer({ min: 0, max: 4 }), numGpus: fc.constantFrom(0, 0.3, 0.5, 1, 2) });
  const strategy = fc.constantFrom('DEFAULT', 'SPREAD', { nodeId: 'n-1', soft: true }, { nodeId: 'n-2', soft: false });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(task, strategy, fc.double({ min: 0, max: 0.999, noNaN: true })), { maxLength: 30 }),
      (tasks) => {
        const nodes = new Nodes([
          { id: 'n', count: 3, resources: { CPU: 4, GPU: 2 } },
          { id: 'c', count: 2, resources: { CPU: 8 } },
        ]);
        // `use` throws where a grant is more than is free.
        for (const [options, schedulingStrategy, random] of tasks)
          nodes.run({ ...options, schedulingStrategy }, random);
      },
    ),
    { numRuns: 60 },
  );
});

test('costs one pass at 10,000 nodes', () => {
  const nodes = new Nodes([{ count: 10_000, resources: { CPU: 8, GPU: 8 } }]);
  const { request } = compileTask({ kind: 'task', numGpus: 1 });
  const ms = (schedulingStrategy: string) => {
    const { request: asked } = compileTask({ kind: 'task', schedulingStrategy });
    const before = performance.now();
    for (let i = 0; i < 5; i++)
      placeTask(nodes, { ...request, strategy: asked.strategy }, { random: 0.7, cursor: 4321 });
    return (performance.now() - before) / 5;
  };
  expect(ms('DEFAULT')).toBeLessThan(500);
  expect(ms('SPREAD')).toBeLessThan(500);
});
