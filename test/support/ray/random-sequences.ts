/** Random sequences of group operations for `twinkle-node place --replay` and for Ray alike, the same for the same seed. */

export interface SequenceNode {
  readonly res: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
}

export type SequenceOp =
  | {
      readonly op: 'occupy';
      readonly id: string;
      readonly node: number;
      readonly res: Readonly<Record<string, number>>;
    }
  | { readonly op: 'remove'; readonly id: string }
  | {
      readonly op: 'create';
      readonly id: string;
      readonly strategy: string;
      readonly bundles: readonly Readonly<Record<string, number>>[];
      readonly labels?: readonly Readonly<Record<string, string>>[];
      readonly target?: number;
    };

export interface RandomSequence {
  readonly case: string;
  readonly nodes: readonly SequenceNode[];
  readonly ops: readonly SequenceOp[];
  /** Devices are shared: Ray itself then compares sums where devices decide. */
  readonly fractional: boolean;
}

class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1: mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From `low` to `high`, both possible. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.int(0, choices.length - 1)] as T;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

const STRATEGIES = ['PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'];
const SELECTORS: readonly Readonly<Record<string, string>>[] = [
  { zone: 'a' },
  { zone: '!a' },
  { zone: 'in(a,b)' },
  { zone: '!in(b,c)' },
  { 'ray.io/accelerator-type': 'H100' },
  {},
];

/** `clusters` shapes of 2 to 5 nodes with `each` sequences on each; those of one shape follow each other. */
export function randomSequences(seed: number, clusters: number, each: number): RandomSequence[] {
  return Array.from({ length: clusters }, (_, cluster) => {
    const dice = new Dice(seed * 1000 + cluster);
    const nodes = randomNodes(dice);
    return Array.from({ length: each }, (_, index) => randomSequence(dice, `${seed}/${cluster}/${index}`, nodes));
  }).flat();
}

function randomNodes(dice: Dice): SequenceNode[] {
  const device = dice.chance(0.2) ? 'NPU' : 'GPU';
  const alike = dice.chance(0.35);
  const one = (): SequenceNode => {
    const devices = dice.of([0, 1, 2, 2, 4, 4, 8]);
    const res: Record<string, number> = { CPU: dice.of([2, 4, 8, 8]) };
    if (devices > 0) res[device] = devices;
    if (dice.chance(0.25)) res.license = dice.int(1, 3);
    const labels: Record<string, string> = {};
    if (dice.chance(0.7)) labels.zone = dice.of(['a', 'b', 'c']);
    if (devices > 0 && dice.chance(0.5)) labels['ray.io/accelerator-type'] = dice.of(['A100', 'H100']);
    return { res, labels };
  };
  const first = one();
  const count = dice.int(2, 5);
  return [first, ...Array.from({ length: count - 1 }, () => (alike ? first : one()))];
}

function randomSequence(dice: Dice, name: string, nodes: readonly SequenceNode[]): RandomSequence {
  const fractional = dice.chance(0.2);
  const ops: SequenceOp[] = [];
  const free = nodes.map(({ res }) => ({ ...res }));
  for (let count = dice.int(0, 2); count > 0; count--) {
    const node = dice.int(0, nodes.length - 1);
    const left = free[node] as Record<string, number>;
    const resource = dice.of(Object.keys(left).filter((key) => (left[key] ?? 0) >= 1));
    if (resource === undefined) continue;
    const amount = dice.int(1, Math.max(1, Math.floor((left[resource] ?? 0) / 2)));
    left[resource] = (left[resource] ?? 0) - amount;
    ops.push({ op: 'occupy', id: `o${ops.length}`, node, res: { [resource]: amount } });
  }
  const alive: string[] = [];
  for (let step = dice.int(3, 9); step > 0; step--) {
    if (alive.length > 1 && dice.chance(0.4)) {
      const id = dice.of(alive);
      alive.splice(alive.indexOf(id), 1);
      ops.push({ op: 'remove', id });
      continue;
    }
    const id = `p${ops.length}`;
    alive.push(id);
    ops.push(randomCreate(dice, id, nodes, fractional));
  }
  return { case: name, nodes, ops, fractional };
}

function randomCreate(dice: Dice, id: string, nodes: readonly SequenceNode[], fractional: boolean): SequenceOp {
  const strategy = dice.of(STRATEGIES);
  const any = dice.of([1, 2, 2, 3, 4, 4, 5, 6]);
  // Mostly what is not impossible from the start.
  const most = strategy === 'STRICT_SPREAD' ? nodes.length : strategy === 'STRICT_PACK' ? 3 : any;
  const count = dice.chance(0.9) ? Math.min(any, most) : any;
  const first = randomBundle(dice, nodes, fractional);
  const alike = dice.chance(0.5);
  const bundles = [
    first,
    ...Array.from({ length: count - 1 }, () => (alike ? first : randomBundle(dice, nodes, fractional))),
  ];
  const target = strategy === 'STRICT_PACK' && dice.chance(0.3) ? { target: dice.int(0, nodes.length - 1) } : {};
  const same = dice.of(SELECTORS);
  const labels = dice.chance(0.2) ? { labels: bundles.map(() => (dice.chance(0.6) ? same : dice.of(SELECTORS))) } : {};
  return { op: 'create', id, strategy, bundles, ...target, ...labels };
}

function randomBundle(dice: Dice, nodes: readonly SequenceNode[], fractional: boolean): Record<string, number> {
  const names = [...new Set(nodes.flatMap(({ res }) => Object.keys(res)))];
  const device = names.find((name) => name === 'GPU' || name === 'NPU');
  const bundle: Record<string, number> = {};
  if (device !== undefined && dice.chance(0.75)) {
    const most = Math.max(...nodes.map(({ res }) => res[device] ?? 0));
    const amount = fractional ? dice.of([0.3, 0.4, 0.5, 0.6, 0.75, 1, 1.5]) : dice.of([1, 1, 1, 2, 2, 4]);
    bundle[device] = dice.chance(0.95) ? Math.min(amount, most) : amount;
  }
  if (names.includes('license') && dice.chance(0.2)) bundle.license = 1;
  if (Object.keys(bundle).length === 0 || dice.chance(0.4)) bundle.CPU = dice.of([0.5, 1, 1, 2, 3]);
  return bundle;
}
