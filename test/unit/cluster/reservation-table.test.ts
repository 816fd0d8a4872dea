import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReservationTable } from '../../../src/cluster/reservation-table.js';
import type { FromAgent, Hold, ToAgent, WireGrant } from '../../../src/cluster/types.js';
import { helloToSpec } from '../../../src/cluster/wire.js';
import { allFree } from '../../../src/scheduler/free.js';

const SPEC = helloToSpec({ id: 'n0', total: { CPU: 8, GPU: 4 }, labels: {}, devices: {} });
const LEASE = { stateful: 1500, serving: 60_000 };

const gpus = (...instances: number[]): WireGrant => ({
  resources: { GPU: instances.length },
  instances: { GPU: instances.map((instance) => [instance, 1]) },
});

function prepare(txn: string, grant: WireGrant, hold: Hold = 'stateful'): ToAgent {
  return { t: 'prepare', txn, group: `of-${txn}`, hold, pieces: [{ bundle: 0, grant }], ttlMs: 5000 };
}
const commit = (txn: string): ToAgent => ({ t: 'commit', txn });
const release = (txn: string): ToAgent => ({ t: 'release', txn });
/** @param heardMs when the agent sent the report that the head has */
const renew = (heardMs: number | null): ToAgent => ({ t: 'renew', fencingMs: 1500, graceMs: 60_000, heardMs });

function tell(table: ReservationTable, nowMs: number, ...messages: ToAgent[]): FromAgent[] {
  return table.apply({ epoch: 1, messages }, nowMs);
}

describe('reservation table', () => {
  it('reserves what is free, once, whatever is repeated', () => {
    const table = new ReservationTable(SPEC);
    expect(tell(table, 0, prepare('a', gpus(0, 1)), prepare('a', gpus(0, 1)))).toEqual([
      { t: 'prepared', txn: 'a' },
      { t: 'prepared', txn: 'a' },
    ]);
    expect(tell(table, 1, commit('a'), commit('a'))).toEqual([
      { t: 'committed', txn: 'a' },
      { t: 'committed', txn: 'a' },
    ]);
    expect(table.free.instances.get('GPU')).toEqual([0, 0, 10_000, 10_000]);
    expect(tell(table, 2, prepare('a', gpus(0, 1)))).toEqual([{ t: 'prepared', txn: 'a' }]);
    expect(table.held()).toEqual([{ txn: 'a', group: 'of-a', committed: true }]);
  });

  it('refuses as a whole what another holds, and says who', () => {
    const table = new ReservationTable(SPEC);
    tell(table, 0, prepare('a', gpus(1)));
    const [answer] = tell(table, 0, {
      t: 'prepare',
      txn: 'b',
      group: 'of-b',
      hold: 'serving',
      ttlMs: 5000,
      pieces: [
        { bundle: 0, grant: gpus(2) },
        { bundle: 1, grant: gpus(1) },
      ],
    });
    expect(answer).toEqual({
      t: 'refused',
      txn: 'b',
      reason: '0 of GPU 1 is free, 1 is wanted, group of-a holds of it',
    });
    expect(table.held().map(({ txn }) => txn)).toEqual(['a']);
    expect(tell(table, 0, prepare('c', gpus(7)))).toMatchObject([{ t: 'refused', reason: 'n0 has no GPU 7' }]);
    expect(tell(table, 0, prepare('d', { resources: { CPU: 9 }, instances: {} }))).toMatchObject([
      { t: 'refused', reason: '8 CPU is free, 9 is wanted' },
    ]);
    // Two pieces of one request cannot share a device either.
    expect(
      tell(table, 0, {
        ...(prepare('e', gpus(0)) as ToAgent & { t: 'prepare' }),
        pieces: [
          { bundle: 0, grant: gpus(0) },
          { bundle: 1, grant: gpus(0) },
        ],
      }),
    ).toMatchObject([{ t: 'refused' }]);
  });

  it('answers a refused transaction the same way later, when there would be room', () => {
    const table = new ReservationTable(SPEC);
    tell(table, 0, prepare('a', gpus(0)), prepare('b', gpus(0)), release('a'));
    expect(tell(table, 1, prepare('b', gpus(0)))).toMatchObject([{ t: 'refused', txn: 'b' }]);
  });

  it('shares a device between fractions up to the whole', () => {
    const half: WireGrant = { resources: { GPU: 0.5 }, instances: { GPU: [[2, 0.5]] } };
    const table = new ReservationTable(SPEC);
    expect(tell(table, 0, prepare('a', half), prepare('b', half), prepare('c', half)).map(({ t }) => t)).toEqual([
      'prepared',
      'prepared',
      'refused',
    ]);
  });

  it('drops what was not committed in time and answers `lost` to the late commit', () => {
    const table = new ReservationTable(SPEC);
    tell(table, 0, prepare('a', gpus(0)));
    expect(table.nextExpiryMs()).toBe(5000);
    expect(table.expire(4999)).toEqual([]);
    expect(tell(table, 5000, commit('a'))).toEqual([{ t: 'lost', txn: 'a', reason: 'it was not committed in time' }]);
    // What apply came upon is told by the next expire.
    expect(table.expire(5000)).toEqual([
      { txn: 'a', group: 'of-a', hold: 'stateful', committed: false, reason: 'it was not committed in time' },
    ]);
    expect(table.free).toEqual(allFree(SPEC));
    expect(tell(table, 5001, commit('never'))).toMatchObject([{ t: 'lost', txn: 'never' }]);
  });

  it('fences stateful reservations first and lets serving ones go on for the grace', () => {
    const table = new ReservationTable(SPEC, LEASE);
    tell(table, 0, prepare('a', gpus(0)), prepare('b', gpus(1), 'serving'), commit('a'), commit('b'));
    expect(tell(table, 600, renew(null))).toMatchObject([{ t: 'alive', atMs: 600 }]); // prolongs nothing
    tell(table, 1000, renew(1000));
    expect(table.expire(2499)).toEqual([]);
    expect(table.expire(2500)).toMatchObject([{ txn: 'a', committed: true, reason: 'no renewal came in time' }]);
    expect(table.expire(60_999)).toEqual([]);
    expect(table.expire(61_000)).toMatchObject([{ txn: 'b' }]);
    expect(table.nextExpiryMs()).toBeNull();
  });

  it('does not revive by a renewal what had run out before it', () => {
    const table = new ReservationTable(SPEC, LEASE);
    tell(table, 0, prepare('a', gpus(0)), commit('a'));
    expect(tell(table, 1500, renew(1400))).toEqual([{ t: 'alive', atMs: 1500, held: [] }]);
    expect(table.expire(1500)).toMatchObject([{ txn: 'a', committed: true }]);
  });

  it('never shortens a lease, and a commit prolongs none: it is the node that has it', () => {
    const table = new ReservationTable(SPEC, LEASE);
    tell(table, 0, renew(0), prepare('a', gpus(0)), commit('a'));
    tell(table, 100, renew(-1300));
    tell(table, 1499, prepare('b', gpus(1)), prepare('c', gpus(2)), commit('b'));
    expect(table.expire(1499)).toEqual([]);
    expect(table.expire(1500).map(({ txn }) => txn)).toEqual(['a', 'b']);
    expect(tell(table, 1501, commit('c'))).toEqual([{ t: 'lost', txn: 'c', reason: 'no renewal came in time' }]);
    expect(tell(table, 1502, renew(1501), prepare('d', gpus(0)), commit('d')).map(({ t }) => t)).toEqual([
      'alive',
      'prepared',
      'committed',
    ]);
    expect(table.expire(3000)).toEqual([
      { txn: 'c', group: 'of-c', hold: 'stateful', committed: true, reason: 'no renewal came in time' },
    ]);
  });

  it('counts a renewal that is read late from the report that it answers', () => {
    const table = new ReservationTable(SPEC, LEASE);
    tell(table, 0, prepare('a', gpus(0)), commit('a'));
    tell(table, 1400, renew(500)); // 900 ms on the way, or in the mail of an agent that was stalled
    expect(table.expire(1999)).toEqual([]);
    expect(table.expire(2000)).toMatchObject([{ txn: 'a' }]);
  });

  it('forgets a prepare that comes after its release', () => {
    const table = new ReservationTable(SPEC);
    expect(tell(table, 0, release('a'))).toEqual([{ t: 'released', txn: 'a' }]);
    expect(tell(table, 1, prepare('a', gpus(0)))).toEqual([{ t: 'refused', txn: 'a', reason: 'it was released' }]);
    expect(table.held()).toEqual([]);
  });

  it('gives back what is released, at once and once', () => {
    const table = new ReservationTable(SPEC);
    tell(table, 0, prepare('a', gpus(0, 3)), commit('a'));
    expect(tell(table, 1, release('a'), release('a'))).toEqual([
      { t: 'released', txn: 'a' },
      { t: 'released', txn: 'a' },
    ]);
    expect(table.free).toEqual(allFree(SPEC));
  });

  it('refuses a head that has been replaced as a whole', () => {
    const table = new ReservationTable(SPEC);
    table.apply({ epoch: 3, messages: [prepare('a', gpus(0))] }, 0);
    expect(table.apply({ epoch: 2, messages: [commit('a'), release('a')] }, 1)).toEqual([]);
    expect(table.staleBatches).toBe(1);
    expect(table.held()).toEqual([{ txn: 'a', group: 'of-a', committed: false }]);
  });

  it('holds what its history says and no more, whatever comes in whatever order', () => {
    const txn = fc.constantFrom('a', 'b', 'c', 'd');
    const message = fc.oneof(
      fc
        .tuple(txn, fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 3 }))
        .map(([id, at]) => prepare(id, gpus(...at))),
      txn.map(commit),
      txn.map(release),
      fc.nat(30_000).map(renew),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(message, fc.nat(800))), (history) => {
        const table = new ReservationTable(SPEC, LEASE);
        let nowMs = 0;
        for (const [one, pauseMs] of history) {
          nowMs += pauseMs;
          tell(table, nowMs, one);
          const held = [...table.reservations()];
          const taken = held.flatMap(({ sum }) => (sum.instances.get('GPU') ?? []).map(([instance]) => instance));
          expect(new Set(taken).size).toBe(taken.length);
          expect(table.free.amounts.get('GPU')).toBe(40_000 - 10_000 * taken.length);
          expect(held.every(({ expiresAtMs }) => expiresAtMs > nowMs)).toBe(true);
          expect(table.nextExpiryMs() ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(
            Math.min(...held.map(({ expiresAtMs }) => expiresAtMs)),
          );
        }
        table.expire(nowMs + 60_000);
        expect(table.free).toEqual(allFree(SPEC));
      }),
    );
  });
});
