/** The head's own node: a reservation table in the head's process. Its state is the journal's: a new process takes over what the old one held. */
import type { LocalAgent } from './journaled-ledger.js';
import type { Ledger } from './ledger.js';
import { ReservationTable } from './reservation-table.js';
import type { FromAgent, NodeHello, ToAgent } from './types.js';
import { grantToWire, helloToSpec } from './wire.js';

export interface OwnNode extends LocalAgent {
  /** What to tell the ledger: what is here, and what the journal's groups hold of it. */
  hello(): NodeHello;
}

/**
 * The table of the node `facts`, with everything in it that the ledger's groups hold there.
 * @param nowMs monotonic
 */
export function openOwnNode(
  facts: Omit<NodeHello, 'held'>,
  ledger: Pick<Ledger, 'epoch' | 'groups'>,
  nowMs: () => number,
): OwnNode {
  // It lives and dies with its head: nothing runs out by time.
  const forever = Number.POSITIVE_INFINITY;
  const table = new ReservationTable(helloToSpec(facts), { stateful: forever, serving: forever });
  const messages: ToAgent[] = [];
  for (const group of ledger.groups()) {
    const byTxn = new Map<string, { bundle: number; grant: ReturnType<typeof grantToWire> }[]>();
    group.seats.forEach((seat, bundle) => {
      if (seat === null || seat.node !== facts.id || group.state === 'REMOVED') return;
      const pieces = byTxn.get(seat.txn) ?? [];
      byTxn.set(seat.txn, pieces);
      pieces.push({ bundle, grant: grantToWire(seat.grant) });
    });
    for (const [txn, pieces] of byTxn) {
      const { hold } = group.spec;
      messages.push({ t: 'prepare', txn, group: group.id, hold, pieces, ttlMs: forever }, { t: 'commit', txn });
    }
  }
  table.apply({ epoch: ledger.epoch, messages }, nowMs());
  return {
    node: facts.id,
    hello: () => ({ ...facts, held: table.held() }),
    deliver: ({ epoch, messages }) => {
      const renewals = messages.filter(({ t }) => t === 'renew');
      const rest = messages.filter(({ t }) => t !== 'renew');
      const answers = rest.length === 0 ? [] : table.apply({ epoch, messages: rest }, nowMs());
      const alive = renewals.map((): FromAgent => ({ t: 'alive', atMs: nowMs(), held: table.held() }));
      return { incarnation: facts.incarnation, messages: [...answers, ...alive] };
    },
  };
}
