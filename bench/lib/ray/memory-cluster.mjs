/** The same ledger with its agents in this process, joined by direct calls as in the cluster of one process: placing and both phases, no wire. */
import { randomUUID } from 'node:crypto';
import { Ledger } from '../../../dist/cluster/ledger.js';
import { ReservationTable } from '../../../dist/cluster/reservation-table.js';
import { DEFAULT_TIMERS } from '../../../dist/cluster/types.js';
import { helloToSpec } from '../../../dist/cluster/wire.js';
import { hello, NODES } from './nodes.mjs';

const FOREVER = { stateful: Number.POSITIVE_INFINITY, serving: Number.POSITIVE_INFINITY };

/** Groups are created when `create` returns, and gone when `remove` does. */
export function memoryCluster() {
  const agents = new Map();
  const nowMs = () => performance.now();
  const ledger = new Ledger(
    {
      nowMs,
      wallMs: () => Date.now(),
      newId: () => randomUUID(),
      send(node, batch) {
        const { incarnation, table } = agents.get(node);
        const messages = table.apply(batch, nowMs());
        if (messages.length > 0) ledger.receive(node, { incarnation, messages });
      },
      random: () => 0,
      append() {},
      event() {},
    },
    DEFAULT_TIMERS,
  );
  for (let index = 0; index < NODES; index++) {
    const node = hello(index);
    agents.set(node.id, { incarnation: node.incarnation, table: new ReservationTable(helloToSpec(node), FOREVER) });
    ledger.nodeHello({ ...node, held: [] });
  }
  return {
    create(spec) {
      const id = ledger.createGroup(spec, 'bench');
      const { state, reason } = ledger.group(id);
      if (state !== 'CREATED') throw new Error(`a group is ${state}: ${reason}`);
      return id;
    },
    remove: (id) => ledger.removeGroup(id),
  };
}
