import { describe, expect, it } from 'vitest';
import { PendingQueue, type QueueClock, type Verdict } from '../../../src/cluster/pending-queue.js';
import { isMonotone, shapeKey } from '../../../src/cluster/request-shape.js';
import type { GroupRequest } from '../../../src/scheduler/types.js';
import { compileGroup } from '../../../src/scheduler/validate.js';

const request = (...gpus: number[]): GroupRequest => compileGroup({ bundles: gpus.map((GPU) => ({ GPU })) });
const busy = (reason = 'no room'): Verdict => ({ scheduling: 'NO_RESOURCES', reason });
const never: Verdict = { scheduling: 'INFEASIBLE', reason: 'too big' };

interface Named {
  readonly name: string;
  readonly order: number;
  attempts: number;
}

class Bench {
  clock: QueueClock = { joins: 0, changes: 0, version: 0 };
  readonly queue = new PendingQueue<Named>();
  readonly tried: string[] = [];
  readonly answered: string[] = [];

  add(name: string, order: number, wanted: GroupRequest, verdict?: Verdict): Named {
    const member = { name, order, attempts: 0 };
    this.queue.add(member, wanted, this.clock, verdict ?? null);
    return member;
  }

  /** @param answer what each try ends with; null: placed, which changes the version */
  pass(answer: (name: string) => Verdict | null): string[] {
    this.tried.length = 0;
    this.queue.pass(
      () => this.clock,
      ({ name }) => {
        this.tried.push(name);
        const verdict = answer(name);
        if (verdict === null) this.clock = { ...this.clock, version: this.clock.version + 1 };
        return verdict;
      },
      (members) => this.answered.push(...members.map(({ name }) => name)),
    );
    return [...this.tried];
  }

  changed(by: Partial<Record<keyof QueueClock, number>>): void {
    const { joins, changes, version } = this.clock;
    this.clock = {
      joins: joins + (by.joins ?? 0),
      changes: changes + (by.changes ?? 0),
      version: version + (by.version ?? 1),
    };
  }
}

describe('pending queue', () => {
  it('tries in order of age, and lets a small one overtake a big one', () => {
    const bench = new Bench();
    bench.add('small', 2, request(1));
    bench.add('big', 1, request(4));
    expect(bench.pass((name) => (name === 'big' ? busy() : null))).toEqual(['big', 'small']);
    expect(bench.queue.members().map(({ name }) => name)).toEqual(['big']);
  });

  it('answers all of one shape with one try, and counts it for each', () => {
    const bench = new Bench();
    const members = [3, 1, 2].map((order) => bench.add(`m${order}`, order, request(2)));
    expect(bench.pass(() => busy())).toEqual(['m1']);
    expect(bench.answered).toEqual(['m1', 'm2', 'm3']);
    for (const member of members) expect(bench.queue.waiting(member)).toMatchObject({ verdict: busy(), attempts: 1 });
    expect(members.map((member) => bench.queue.waiting(member)?.position())).toEqual([2, 0, 1]);
  });

  it('goes on with the next of a shape, in order among others, until one does not fit', () => {
    const bench = new Bench();
    bench.add('a1', 1, request(1));
    bench.add('b2', 2, request(2));
    bench.add('a3', 3, request(1));
    bench.add('a4', 4, request(1));
    expect(bench.pass((name) => (name === 'a4' ? busy() : null))).toEqual(['a1', 'b2', 'a3', 'a4']);
  });

  it('does not try again before something has changed that can help', () => {
    const bench = new Bench();
    bench.add('equal', 1, request(1, 1));
    bench.add('never', 2, request(9));
    const answer = (name: string): Verdict => (name === 'never' ? never : busy());
    expect(bench.pass(answer)).toEqual(['equal', 'never']);
    expect(bench.pass(answer)).toEqual([]);
    bench.changed({}); // something was taken
    expect(bench.pass(answer)).toEqual([]);
    bench.changed({ changes: 1 }); // something was given back
    expect(bench.pass(answer)).toEqual(['equal']);
    bench.changed({ changes: 1, joins: 1 });
    expect(bench.pass(answer)).toEqual(['equal', 'never']);
  });

  it('tries unequal bundles again when others took something: a greedy choice may turn out better', () => {
    const bench = new Bench();
    bench.add('unequal', 1, request(1, 2));
    bench.add('other', 2, request(1));
    expect(bench.pass((name) => (name === 'unequal' && bench.queue.size === 2 ? busy() : null))).toEqual([
      'unequal',
      'other',
      'unequal',
    ]);
    expect(bench.queue.size).toBe(0);
  });

  it('counts the failed try of an equal one at the same time for one that comes later', () => {
    const bench = new Bench();
    bench.add('first', 1, request(1));
    bench.pass(() => busy());
    const late = bench.add('late', 2, request(1));
    expect(bench.queue.waiting(late)).toMatchObject({ verdict: busy(), attempts: 1 });
    expect(bench.pass(() => busy())).toEqual([]);
    bench.queue.delete(late);
    expect(late.attempts).toBe(1);
    expect(bench.queue.waiting(late)).toBeNull();
  });

  it('takes the verdict of a try that was made before it came', () => {
    const bench = new Bench();
    const member = bench.add('tried', 1, request(1), busy('full'));
    expect(bench.queue.waiting(member)).toMatchObject({ verdict: busy('full'), attempts: 0 });
    expect(bench.pass(() => busy())).toEqual([]);
  });

  it('tells only the eldest when just the words have changed', () => {
    const bench = new Bench();
    bench.add('a', 1, request(1));
    bench.add('b', 2, request(1));
    bench.pass(() => busy('2 free'));
    bench.answered.length = 0;
    bench.changed({ changes: 1 });
    bench.pass(() => busy('1 free'));
    expect(bench.answered).toEqual(['a']);
  });

  it('costs one try with thousands that ask for the same', () => {
    const bench = new Bench();
    for (let order = 0; order < 5000; order++) bench.add(`m${order}`, order, request(1));
    bench.pass(() => busy());
    bench.changed({ changes: 1 });
    expect(bench.pass((name) => (name === 'm0' ? null : busy()))).toEqual(['m0', 'm1']);
  });
});

describe('request shapes', () => {
  it('are one when the scheduler would answer alike', () => {
    const same = { bundles: [{ GPU: 1 }, { GPU: 1 }] };
    expect(shapeKey(compileGroup(same))).toBe(shapeKey(compileGroup({ ...same, name: 'x', lifetime: 'detached' })));
    const others = [
      { bundles: [{ GPU: 1 }] },
      { bundles: [{ GPU: 1 }, { GPU: 2 }] },
      { ...same, strategy: 'SPREAD' },
      { ...same, tensorParallel: 2 },
      { ...same, bundleLabelSelector: [{ a: 'b' }, {}] },
      { ...same, topologyStrategy: { rack: 'STRICT_PACK' } },
      { ...same, strategy: 'STRICT_PACK', softTarget: 'n1' },
    ].map((written) => shapeKey(compileGroup(written)));
    expect(new Set([...others, shapeKey(compileGroup(same))]).size).toBe(others.length + 1);
  });

  it('are helped only by what comes back when their bundles are equal, or packed as one', () => {
    expect(isMonotone(compileGroup({ bundles: [{ GPU: 1 }, { GPU: 1 }], strategy: 'SPREAD' }))).toBe(true);
    expect(isMonotone(compileGroup({ bundles: [{ GPU: 1 }, { CPU: 1 }], strategy: 'STRICT_PACK' }))).toBe(true);
    expect(isMonotone(compileGroup({ bundles: [{ GPU: 1 }, { CPU: 1 }] }))).toBe(false);
    const selectors = [{ rack: 'a' }, {}];
    expect(isMonotone(compileGroup({ bundles: [{ GPU: 1 }, { GPU: 1 }], bundleLabelSelector: selectors }))).toBe(false);
  });
});
