/**
 * Who waits for a place, in order. Groups that ask for the same form one shape: only its eldest is tried, and when that fails all of them
 * have been answered. So a pass costs what the distinct shapes cost, however many wait. Pure; knows nothing of nodes.
 */
import { isMonotone, type PlacementRequest, shapeKey } from './request-shape.js';

/** Why a shape was not placed when it was last tried. */
export interface Verdict {
  readonly scheduling: 'NO_RESOURCES' | 'INFEASIBLE';
  readonly reason: string;
}

/** What has changed in the cluster, as counters: a shape is tried again only when what could help it has changed. */
export interface QueueClock {
  /** Nodes that became schedulable: what an infeasible shape waits for. */
  readonly joins: number;
  /** Joins, nodes that went, and everything given back. */
  readonly changes: number;
  /** All of that, and everything taken. */
  readonly version: number;
}

/** How one member waits. */
export interface Waiting {
  /** Null: not tried yet. */
  readonly verdict: Verdict | null;
  /** Tries of its shape since it came. */
  readonly attempts: number;
  /** 0 is next. */
  position(): number;
}

interface Shape<M> {
  readonly key: string;
  readonly request: PlacementRequest;
  readonly monotone: boolean;
  /** Eldest first. */
  readonly members: M[];
  verdict: Verdict | null;
  tries: number;
  /** When it failed last. */
  failedAt: QueueClock | null;
}

/** What can wait. */
export interface Member {
  /** Lower is earlier; unique, and the same as long as it waits. */
  readonly order: number;
  attempts: number;
}

export class PendingQueue<M extends Member> {
  readonly #shapes = new Map<string, Shape<M>>();
  readonly #places = new Map<M, { readonly shape: Shape<M>; readonly triesBefore: number }>();
  #positions: Map<M, number> | null = null;

  get size(): number {
    return this.#places.size;
  }

  has(member: M): boolean {
    return this.#places.has(member);
  }

  /** Every member, eldest first. */
  members(): M[] {
    return [...this.#places.keys()].sort((a, b) => a.order - b.order);
  }

  /**
   * It waits from now on. When its shape has failed at this very `clock`, that counts as its own try; no pass will try it before something
   * has changed.
   * @param verdict of a try of this very request just now; null: it has not been tried
   */
  add(member: M, request: PlacementRequest, clock: QueueClock, verdict: Verdict | null = null): void {
    const key = shapeKey(request);
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      shape = { key, request, monotone: isMonotone(request), members: [], verdict: null, tries: 0, failedAt: null };
      this.#shapes.set(key, shape);
    }
    const open = isOpen(shape, clock);
    if (verdict !== null) {
      shape.verdict = verdict;
      shape.failedAt = clock;
    }
    shape.members.splice(indexOf(shape.members, member.order), 0, member);
    this.#places.set(member, { shape, triesBefore: open ? shape.tries : shape.tries - 1 });
    this.#positions = null;
  }

  /** Nothing happens to one that does not wait. The tries since it came are added to its `attempts`. */
  delete(member: M): void {
    const place = this.#places.get(member);
    if (place === undefined) return;
    const { shape, triesBefore } = place;
    this.#places.delete(member);
    this.#positions = null;
    shape.members.splice(indexOf(shape.members, member.order), 1);
    if (shape.members.length === 0) this.#shapes.delete(shape.key);
    member.attempts += shape.tries - triesBefore;
  }

  /** Null: it does not wait. */
  waiting(member: M): Waiting | null {
    const place = this.#places.get(member);
    if (place === undefined) return null;
    const { shape, triesBefore } = place;
    return {
      verdict: shape.verdict,
      attempts: shape.tries - triesBefore,
      position: () => this.#position(member),
    };
  }

  /**
   * Try every shape that may fit by now, eldest member first, until none does.
   * @param clock read again after every try
   * @param attempt null: it waits no longer, because it was placed or refused for good
   * @param answered told who waits for another reason than before: all of the shape, or only the eldest when just the words changed
   */
  pass(
    clock: () => QueueClock,
    attempt: (member: M, request: PlacementRequest) => Verdict | null,
    answered: (members: readonly M[]) => void,
  ): void {
    for (let placed = true; placed; ) {
      placed = false;
      const round = this.#openShapes(clock());
      for (let shape = round.pop(); shape !== undefined; shape = round.pop()) {
        const [eldest] = shape.members;
        if (eldest === undefined) continue;
        const verdict = attempt(eldest, shape.request);
        if (verdict === null) {
          placed = true;
          this.delete(eldest);
          const next = shape.members[0];
          if (next !== undefined) round.splice(indexInRound(round, next.order), 0, shape);
          continue;
        }
        const before = shape.verdict;
        shape.verdict = verdict;
        shape.tries += 1;
        shape.failedAt = clock();
        if (before?.scheduling !== verdict.scheduling) answered(shape.members);
        else if (before.reason !== verdict.reason) answered([eldest]);
      }
    }
  }

  /** Shapes worth a try; the one with the eldest member last. */
  #openShapes(clock: QueueClock): Shape<M>[] {
    const open = [...this.#shapes.values()].filter((shape) => isOpen(shape, clock));
    return open.sort((a, b) => eldestOrder(b) - eldestOrder(a));
  }

  #position(member: M): number {
    this.#positions ??= new Map(this.members().map((waiting, position) => [waiting, position]));
    return this.#positions.get(member) ?? 0;
  }
}

function isOpen<M>({ failedAt, verdict, monotone }: Shape<M>, clock: QueueClock): boolean {
  if (failedAt === null) return true;
  if (verdict?.scheduling === 'INFEASIBLE') return failedAt.joins !== clock.joins;
  // Unequal bundles are placed greedily: what another group takes can turn the choice and make them fit.
  return monotone ? failedAt.changes !== clock.changes : failedAt.version !== clock.version;
}

function eldestOrder<M extends Member>(shape: Shape<M>): number {
  return shape.members[0]?.order ?? 0;
}

/** Where `order` is, or belongs, among ascending members. */
function indexOf(members: readonly Member[], order: number): number {
  let low = 0;
  let high = members.length;
  // Most come last.
  if (high > 0 && (members[high - 1]?.order ?? 0) < order) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((members[middle]?.order ?? 0) < order) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Where a shape with that eldest belongs among descending ones. */
function indexInRound<M extends Member>(round: readonly Shape<M>[], order: number): number {
  let low = 0;
  let high = round.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const shape = round[middle];
    if (shape !== undefined && eldestOrder(shape) > order) low = middle + 1;
    else high = middle;
  }
  return low;
}
