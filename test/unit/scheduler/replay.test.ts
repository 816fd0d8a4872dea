import { describe, expect, test } from 'vitest';
import { replay, replayEntries } from '../../../src/scheduler/replay.js';
import { parseCase } from '../../../src/scheduler/replay-case.js';

const NODES = [
  { res: { CPU: 4, GPU: 2 }, labels: {} },
  { res: { CPU: 4, GPU: 2 }, labels: { zone: 'b' } },
];
const run = (ops: readonly object[], nodes: readonly object[] = NODES) => replay(parseCase({ case: 'x', nodes, ops }));
const create = (id: string, bundles: readonly object[], strategy = 'PACK', more: object = {}) => ({
  op: 'create',
  id,
  strategy,
  bundles,
  ...more,
});

describe('replay', () => {
  test('says where things went, in the order of the operations', () => {
    const results = run([
      { op: 'occupy', id: '9', node: 1, res: { GPU: 1 } },
      create('b', [{ GPU: 1 }, { GPU: 1 }]),
      { op: 'actor', id: 'a', node: 0, res: { CPU: 1 } },
      create('1', [{ CPU: 1 }], 'STRICT_PACK', { target: 1 }),
      create('c', [{ CPU: 1 }], 'PACK', { labels: [{ zone: '!b' }] }),
    ]);
    expect(results).toEqual({
      9: { m: [1], s: 'created' },
      b: { m: [0, 0], s: 'created' },
      a: { m: [0], s: 'created' },
      1: { m: [1], s: 'created' },
      c: { m: [0], s: 'created' },
    });
  });

  test('keeps that order for ids that are numbers', () => {
    const ops = ['9', 'b', '1'].map((id) => create(id, [{ CPU: 1 }]));
    expect([...replayEntries(parseCase({ case: 'x', nodes: NODES, ops })).keys()]).toEqual(['9', 'b', '1']);
  });

  test('tries those that wait at each release, in their order, and lets a small one pass a big one', () => {
    const results = run([
      create('all', [{ GPU: 2 }, { GPU: 2 }]),
      create('big', [{ GPU: 2 }, { GPU: 2 }]),
      create('small', [{ GPU: 1 }]),
      create('never', [{ GPU: 3 }]),
      { op: 'remove', id: 'all' },
      { op: 'remove', id: 'big' },
    ]);
    expect(results).toEqual({
      all: { m: [0, 1], s: 'created' },
      big: { late: [0, 1], late_after: 'all', s: 'pending', why: 'NO_RESOURCES' },
      small: { late: [0], late_after: 'big', s: 'pending', why: 'NO_RESOURCES' },
      never: { s: 'pending', why: 'INFEASIBLE' },
    });
    const passed = run([
      { op: 'actor', id: 'a', node: 0, res: { GPU: 1 } },
      { op: 'occupy', id: 'o', node: 1, res: { GPU: 2 } },
      { op: 'occupy', id: 'p', node: 0, res: { GPU: 1 } },
      create('big', [{ GPU: 2 }]),
      create('small', [{ GPU: 1 }]),
      { op: 'kill', id: 'a' },
    ]);
    expect(passed.big).toEqual({ s: 'pending', why: 'NO_RESOURCES' });
    expect(passed.small).toMatchObject({ late: [0], late_after: 'a' });
  });

  test('forgets what was removed while it waited', () => {
    const results = run([
      create('all', [{ GPU: 2 }, { GPU: 2 }]),
      create('gone', [{ GPU: 1 }]),
      { op: 'remove', id: 'gone' },
      { op: 'remove', id: 'all' },
      { op: 'remove', id: 'all' },
    ]);
    expect(results.gone).toEqual({ s: 'pending', why: 'NO_RESOURCES' });
  });

  test('lets actors and occupations wait for their own node, or never fit it', () => {
    const results = run([
      { op: 'occupy', id: 'o', node: 0, res: { GPU: 2 } },
      { op: 'actor', id: 'waits', node: 0, res: { GPU: 0.5 } },
      { op: 'occupy', id: 'too', node: 0, res: { GPU: 2 } },
      { op: 'actor', id: 'never', node: 0, res: { GPU: 3 } },
      { op: 'remove', id: 'o' },
    ]);
    expect(results).toMatchObject({
      waits: { late: [0], late_after: 'o', s: 'pending', why: 'NO_RESOURCES' },
      too: { s: 'pending', why: 'NO_RESOURCES' },
      never: { s: 'pending', why: 'INFEASIBLE' },
    });
    expect(results.too).not.toHaveProperty('late');
  });

  test('puts nothing on a node that takes no work', () => {
    const nodes = [{ res: { CPU: 1 }, unschedulable: true }, { res: { CPU: 1 } }];
    const results = run([create('p', [{ CPU: 1 }]), { op: 'actor', id: 'a', node: 0, res: { CPU: 1 } }], nodes);
    expect(results).toEqual({ p: { m: [1], s: 'created' }, a: { s: 'pending', why: 'INFEASIBLE' } });
  });
});

describe('parseCase', () => {
  const of = (ops: unknown) => ({ case: 'x', nodes: NODES, ops });
  test.each([
    ['a number', 3, /an object with case, nodes and ops/],
    ['no name', { nodes: NODES, ops: [] }, /a name for `case`/],
    ['no nodes', { case: 'x', nodes: [], ops: [] }, /one node or more for `nodes`/],
    ['no operations', of(undefined), /a list of operations/],
    ['an unknown operation', of([{ op: 'destroy', id: 'a' }]), /`ops\[0\].op` but received "destroy"/],
    ['the name of a method', of([{ op: 'toString', id: 'a' }]), /`ops\[0\].op`/],
    ['no id', of([{ op: 'create', bundles: [{ CPU: 1 }] }]), /a name for `ops\[0\].id`/],
    ['an id twice', of([create('a', [{ CPU: 1 }]), create('a', [{ CPU: 1 }])]), /`ops\[1\].id` but received "a"/],
    ['a bad bundle', of([create('a', [{}])]), /`ops\[0\]`: `bundles\[0\]` asks for nothing/],
    ['a bad strategy', of([create('a', [{ CPU: 1 }], 'NEAR')]), /`ops\[0\]`.*"NEAR"/],
    ['labels that are wrong', of([create('a', [{ CPU: 1 }], 'PACK', { labels: [] })]), /`ops\[0\]`: .* for `labels`/],
    ['a target that is not there', of([create('a', [{ CPU: 1 }], 'STRICT_PACK', { target: 2 })]), /0 to 1/],
    ['a node that is not there', of([{ op: 'occupy', id: 'a', node: -1, res: {} }]), /`ops\[0\].node`/],
    ['a field that means nothing here', of([{ op: 'remove', id: 'a', node: 1 }]), /remove has no field node/],
    ['a release of nothing', of([{ op: 'kill', id: 'a' }]), /the id of an earlier operation/],
  ])('refuses %s', (_what, value, words) => {
    expect(() => parseCase(value)).toThrow(expect.objectContaining({ code: 'PLACEMENT_INVALID' }));
    expect(() => parseCase(value)).toThrow(words);
  });
});
