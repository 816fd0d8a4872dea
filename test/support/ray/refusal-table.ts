/** Placement groups that are wrong in some way, or nearly: for Ray and for `compileGroup`. Where the two differ on purpose, the row says why. */
import type { WrittenGroup } from '../../../src/scheduler/validate.js';

export interface RefusalRow {
  readonly name: string;
  readonly group: WrittenGroup;
  /** Ask Ray from a process of its own: it may abort the one that asks. */
  readonly alone?: true;
  /** Ray's answer is another one than ours, and why ours is right. */
  readonly differs?: string;
}

const GPU = [{ GPU: 1 }];
const NODE = 'ray.io/node-id';
const SOME_NODE = 'ab'.repeat(28);
const ACCELERATOR = 'ray.io/accelerator-type';

const bundles: readonly RefusalRow[] = [
  { name: 'a plain group', group: { bundles: GPU } },
  { name: 'bundles: an object', group: { bundles: { GPU: 1 } } },
  { name: 'bundles: none', group: { bundles: [] } },
  { name: 'bundles: null', group: { bundles: null } },
  { name: 'bundles: text', group: { bundles: 'GPU' } },
  { name: 'an empty bundle', group: { bundles: [{}] } },
  { name: 'a bundle of zeros', group: { bundles: [{ GPU: 0, CPU: 0 }] } },
  { name: 'the second bundle is empty', group: { bundles: [{ GPU: 1 }, {}] } },
  { name: 'a zero beside an amount', group: { bundles: [{ GPU: 0, CPU: 1 }] } },
  { name: 'an amount as text', group: { bundles: [{ GPU: '1' }] } },
  { name: 'an amount of null', group: { bundles: [{ GPU: null }] } },
  { name: 'a bundle as a list', group: { bundles: [[1]] } },
  { name: 'an amount of false', group: { bundles: [{ GPU: false }] } },
  {
    name: 'an amount of true',
    group: { bundles: [{ GPU: true }] },
    differs: 'true is a number in Python and a slip in JSON',
  },
  { name: 'less than a unit', group: { bundles: [{ GPU: 0.00001 }] } },
  { name: 'a GPU and a half', group: { bundles: [{ GPU: 1.5 }] } },
  { name: 'a third of a CPU', group: { bundles: [{ CPU: 0.33333 }] } },
  { name: 'a name with a blank and a slash', group: { bundles: [{ 'a b/ü': 1 }] } },
  { name: 'more than any node has', group: { bundles: [{ CPU: 1e9 }] } },
  {
    name: 'beyond exact numbers',
    group: { bundles: [{ CPU: 1e18 }] },
    alone: true,
    differs: 'Ray overflows 64 bits in silence',
  },
  { name: 'a resource without a name', group: { bundles: [{ '': 1 }] }, alone: true },
  { name: 'a negative amount', group: { bundles: [{ GPU: -1 }] }, alone: true, differs: 'Ray takes it' },
  {
    name: 'a negative amount beside another',
    group: { bundles: [{ CPU: 1, GPU: -1 }] },
    alone: true,
    differs: 'Ray takes it',
  },
  { name: 'NaN', group: { bundles: [{ GPU: Number.NaN }] }, alone: true, differs: 'Ray takes it' },
  { name: 'Infinity', group: { bundles: [{ GPU: Infinity }] }, alone: true, differs: 'Ray takes it' },
  { name: '−Infinity', group: { bundles: [{ GPU: -Infinity }] }, alone: true, differs: 'Ray takes it' },
];

const strategies: readonly RefusalRow[] = [
  { name: 'strategy: pack', group: { bundles: GPU, strategy: 'pack' } },
  { name: 'strategy: empty', group: { bundles: GPU, strategy: '' } },
  { name: 'strategy: a number', group: { bundles: GPU, strategy: 3 } },
  { name: 'strategy: null', group: { bundles: GPU, strategy: null } },
  { name: 'lifetime: forever', group: { bundles: GPU, lifetime: 'forever' } },
  { name: 'lifetime: empty', group: { bundles: GPU, lifetime: '' } },
  { name: 'lifetime: null', group: { bundles: GPU, lifetime: null } },
  { name: 'lifetime: detached', group: { bundles: GPU, lifetime: 'detached', name: 'kept' } },
  { name: 'name: a number', group: { bundles: GPU, name: 3 }, alone: true },
  {
    name: 'name: null',
    group: { bundles: GPU, name: null },
    alone: true,
    differs: 'null is how JSON leaves a name out',
  },
  { name: 'target with PACK', group: { bundles: GPU, strategy: 'PACK', softTarget: SOME_NODE } },
  { name: 'target without a strategy', group: { bundles: GPU, softTarget: SOME_NODE } },
  { name: 'target: nil', group: { bundles: GPU, strategy: 'STRICT_PACK', softTarget: 'f'.repeat(56) }, alone: true },
  { name: 'target: unknown', group: { bundles: GPU, strategy: 'STRICT_PACK', softTarget: SOME_NODE } },
  { name: 'target: empty', group: { bundles: GPU, strategy: 'PACK', softTarget: '' } },
  { name: 'topology: nodes', group: { bundles: GPU, topologyStrategy: { [NODE]: 'SPREAD' } } },
  { name: 'topology: a domain', group: { bundles: GPU, topologyStrategy: { rack: 'STRICT_PACK' } } },
  { name: 'topology: both', group: { bundles: GPU, topologyStrategy: { [NODE]: 'SPREAD', rack: 'STRICT_PACK' } } },
  { name: 'topology: empty', group: { bundles: GPU, topologyStrategy: {} } },
  {
    name: 'topology: two domains',
    group: { bundles: GPU, topologyStrategy: { rack: 'STRICT_PACK', row: 'STRICT_PACK' } },
  },
  {
    name: 'topology: three entries',
    group: { bundles: GPU, topologyStrategy: { [NODE]: 'PACK', rack: 'STRICT_PACK', row: 'STRICT_PACK' } },
  },
  { name: 'topology: a domain with PACK', group: { bundles: GPU, topologyStrategy: { rack: 'PACK' } } },
  { name: 'topology: no such strategy', group: { bundles: GPU, topologyStrategy: { [NODE]: 'NEAR' } } },
  { name: 'topology: a list', group: { bundles: GPU, topologyStrategy: [] } },
  { name: 'topology: text', group: { bundles: GPU, topologyStrategy: 'PACK' } },
  { name: 'topology: a label without a name', group: { bundles: GPU, topologyStrategy: { '': 'STRICT_PACK' } } },
  { name: 'topology: null', group: { bundles: GPU, topologyStrategy: { rack: null } } },
  {
    name: 'topology and strategy',
    group: { bundles: GPU, strategy: 'PACK', topologyStrategy: { rack: 'STRICT_PACK' } },
  },
  {
    name: 'topology and target',
    group: { bundles: GPU, topologyStrategy: { [NODE]: 'STRICT_PACK' }, softTarget: SOME_NODE },
  },
];

const selector = (name: string, written: unknown, differs?: string): RefusalRow => ({
  name: `labels: ${name}`,
  group: { bundles: GPU, bundleLabelSelector: written },
  ...(differs === undefined ? {} : { differs }),
});
const value = (text: string, differs?: string): RefusalRow => selector(JSON.stringify(text), [{ zone: text }], differs);
const key = (text: string, differs?: string): RefusalRow => selector(`key "${text}"`, [{ [text]: 'v' }], differs);

const labels: readonly RefusalRow[] = [
  selector('two for one bundle', [{}, {}]),
  selector('none for one bundle', []),
  selector('an object', {}),
  selector('a list of text', ['zone']),
  selector('a number', [{ zone: 1 }]),
  selector('null as a value', [{ zone: null }]),
  ...['v', '!v', 'in(a,b)', '!in(a, b)', 'v'.repeat(63)].map((text) => value(text)),
  value('(a,b)', 'Ray takes the list without its operator, which then means nothing'),
  value('', 'Ray takes it and looks for a label whose value is empty, which no node of ours can have'),
  ...['in()', '!', '!!v', '-v', 'v_', 'a b', 'v'.repeat(64), 'in(a,)', 'in(a,!b)', 'In(a)', 'v\n'].map((text) =>
    value(text),
  ),
  ...['in(a,  b)', 'in(a ,b)', 'in( a,b)'].map((text) => value(text)),
  ...['a.b/c', 'a..b/c', 'a_b/c', '', '-k', 'a/b/c', 'k'.repeat(64), 'a/', 'a b', 'ü'].map((text) => key(text)),
  key('/k', 'Ray takes an empty prefix'),
  key('a./c', 'Ray takes a prefix that ends with a dot'),
  selector('GB200', [{ [ACCELERATOR]: 'GB200' }]),
  {
    name: 'labels: GB200 beside any',
    group: { bundles: [...GPU, ...GPU], bundleLabelSelector: [{ [ACCELERATOR]: 'GB200' }, {}] },
  },
  {
    name: 'labels: GB200 beside GB300',
    group: {
      bundles: [...GPU, ...GPU],
      bundleLabelSelector: [{ [ACCELERATOR]: 'GB200' }, { [ACCELERATOR]: 'GB300' }],
    },
  },
];

export const REFUSALS: readonly RefusalRow[] = [...bundles, ...strategies, ...labels];

const SPECIAL = new Map<unknown, string>([
  [Infinity, '@Infinity'],
  [-Infinity, '@-Infinity'],
]);

/** The table as test/support/ray/refusals.py reads it. */
export function refusalsForRay(rows: readonly RefusalRow[]): string {
  const wire = (_: string, item: unknown): unknown => (Number.isNaN(item) ? '@NaN' : (SPECIAL.get(item) ?? item));
  return JSON.stringify(
    rows.map(({ name, alone, group }) => ({
      name,
      alone: alone ?? false,
      arguments: {
        bundles: group.bundles,
        ...(group.strategy === undefined ? {} : { strategy: group.strategy }),
        ...(group.lifetime === undefined ? {} : { lifetime: group.lifetime }),
        ...(group.name === undefined ? {} : { name: group.name }),
        ...(group.softTarget === undefined ? {} : { _soft_target_node_id: group.softTarget }),
        ...(group.bundleLabelSelector === undefined ? {} : { bundle_label_selector: group.bundleLabelSelector }),
        ...(group.topologyStrategy === undefined ? {} : { topology_strategy: group.topologyStrategy }),
      },
    })),
    wire,
  );
}
