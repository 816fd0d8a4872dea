import { beforeEach, describe, expect, it } from 'vitest';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { take } from '../../../src/scheduler/free.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { Grant, NodeDevices, NodeSpec } from '../../../src/scheduler/types.js';
import { islands } from './arbitrary.js';

const spec = (id: string, total: Record<string, number>, devices: Record<string, NodeDevices> = {}): NodeSpec => ({
  id,
  total: new Map(Object.entries(total).map(([name, quantity]) => [name, quantity * 10_000])),
  labels: new Map(),
  devices: new Map(Object.entries(devices)),
});

describe('ClusterState', () => {
  let state: ClusterState;
  const grantOf = (id: string, want: Record<string, number>): Grant => {
    const view = state.node(id);
    const taken = view === null ? null : take(view.free, toResources(want));
    if (taken === null) throw new Error('not free');
    return taken.grant;
  };

  beforeEach(() => {
    state = new ClusterState();
    state.addNode(spec('a', { CPU: 4, GPU: 2 }));
    state.addNode(spec('b', { CPU: 8 }), false);
  });

  it('knows its nodes in joining order', () => {
    expect([...state.nodes()].map((view) => [view.spec.id, view.order, view.schedulable])).toEqual([
      ['a', 0, true],
      ['b', 1, false],
    ]);
    expect(state.size).toBe(2);
    expect(state.node('c')).toBeNull();
  });

  it('gives a node that comes again the last place, and all of it free', () => {
    state.claim('a', grantOf('a', { GPU: 1 }));
    state.removeNode('a');
    expect(state.node('a')).toBeNull();
    state.addNode(spec('a', { CPU: 4 }));
    expect([...state.nodes()].map((view) => [view.spec.id, view.order])).toEqual([
      ['b', 1],
      ['a', 2],
    ]);
    expect(state.node('a')?.free.amounts).toEqual(toResources({ CPU: 4 }));
  });

  it.each([
    ['an id in use', spec('a', { CPU: 1 }), /"a", which is known/],
    ['half a device', spec('c', { GPU: 1.5 }), /whole number above zero for GPU of node "c" but received 1.5/],
    ['nothing', spec('c', { CPU: 0 }), /CPU of node "c" but received 0/],
    ['less than nothing', spec('c', { CPU: -1 }), /received -1/],
    ['no number', spec('c', { CPU: Number.NaN }), /received NaN/],
    ['no end', spec('c', { CPU: Number.POSITIVE_INFINITY }), /received Infinity/],
    ['more devices than fit', spec('c', { GPU: 1e9 }), /at most 65536 devices/],
    [
      'fewer ids than devices',
      spec('c', { GPU: 4 }, { GPU: islands(3, ['pix', 'sys']) }),
      /expected 4 devices .* 3 ids/,
    ],
    ['devices of no resource', spec('c', { CPU: 4 }, { GPU: islands(2, ['pix', 'sys']) }), /expected 0 devices/],
    [
      'a link to nowhere',
      spec('c', { GPU: 1 }, { GPU: { ids: ['x'], numa: [0], links: [{ a: 0, b: 1, kind: 'pix', lanes: 0 }] } }),
      /links between two of the 1 devices .* 0–1/,
    ],
  ])('refuses %s', (_, wrong, message) => {
    const { version } = state;
    expect(() => state.addNode(wrong)).toThrow(
      expect.objectContaining({ code: 'PLACEMENT_INVALID', message: expect.stringMatching(message) }),
    );
    expect([state.size, state.version]).toEqual([2, version]);
  });

  it('claims exactly what a grant says, once', () => {
    const grant = grantOf('a', { GPU: 1.5, CPU: 1 });
    expect(state.claim('a', grant)).toBe(true);
    expect(state.node('a')?.free.instances.get('GPU')).toEqual([0, 5000]);
    expect(state.claim('a', grant)).toBe(false);
    state.giveBack('a', grant);
    expect(state.node('a')?.free.instances.get('GPU')).toEqual([10_000, 10_000]);
  });

  it('claims on nodes that take no new work: a journal is read back before its nodes are heard', () => {
    expect(state.claim('b', grantOf('b', { CPU: 8 }))).toBe(true);
  });

  it.each<[string, Grant['instances']]>([
    ['no devices at all', new Map()],
    ['less than the amount', new Map([['GPU', [[0, 5000]]]])],
    [
      'one device twice',
      new Map([
        [
          'GPU',
          [
            [0, 5000],
            [0, 5000],
          ],
        ],
      ]),
    ],
    ['a device that is not there', new Map([['GPU', [[7, 10_000]]]])],
    [
      'a resource that is not asked for',
      new Map([
        ['GPU', [[0, 10_000]]],
        ['NPU', [[0, 10_000]]],
      ]),
    ],
  ])('refuses a grant with %s', (_, instances) => {
    expect(state.claim('a', { resources: toResources({ GPU: 1 }), instances })).toBe(false);
    expect(state.node('a')?.free.amounts.get('GPU')).toBe(20_000);
  });

  it('takes nothing from, and gives nothing to, a node that it does not know', () => {
    const { version } = state;
    const grant = grantOf('a', { GPU: 1 });
    expect(state.claim('gone', grant)).toBe(false);
    state.giveBack('gone', grant);
    state.removeNode('gone');
    state.setSchedulable('gone', true);
    expect(state.version).toBe(version);
  });

  it('grows its version with every change and with nothing else', () => {
    const grant = grantOf('a', { GPU: 1 });
    const seen = [state.version];
    const then = (change: () => void) => {
      change();
      seen.push(state.version);
    };
    then(() => state.claim('a', grant));
    then(() => state.giveBack('a', grant));
    then(() => state.setSchedulable('b', true));
    then(() => state.removeNode('b'));
    expect(new Set(seen).size).toBe(5);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    const { version } = state;
    state.setSchedulable('a', true);
    expect(state.version).toBe(version);
  });

  it('copies for what-if', () => {
    const copy = state.copy();
    expect(copy.version).toBe(state.version);
    copy.claim('a', grantOf('a', { GPU: 2 }));
    copy.addNode(spec('c', { CPU: 1 }));
    expect(state.node('a')?.free.amounts.get('GPU')).toBe(20_000);
    expect(state.node('c')).toBeNull();
    expect(copy.node('c')?.order).toBe(2);
  });
});
