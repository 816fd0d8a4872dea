/** Process of one node's agent: argv is the head's address and the node as JSON. Ends when its parent lets go of it. */
import { Agent } from '../../../dist/cluster/agent.js';
import { SILENT } from '../../../dist/observability/logger.js';
import { session } from './session.mjs';

const agent = await Agent.join({
  address: process.argv[2],
  session: session(),
  node: { ...JSON.parse(process.argv[3]), pid: process.pid },
  log: SILENT,
  nowMs: () => performance.now(),
  onFenced: ({ txn }) => console.error(`reservation ${txn} ran out during the bench`),
});
process.once('disconnect', () => agent[Symbol.asyncDispose]());
process.send('joined');
