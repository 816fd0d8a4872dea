/** An agent in a process of its own: joins the head of `address` with the node of `node`; says what happens by IPC. */
import { performance } from 'node:perf_hooks';
import { Agent } from '../../dist/cluster/agent.js';
import { sessionId } from '../../dist/cluster/session.js';
import { processStat } from '../../dist/util/proc-stat.js';

const { address, node } = JSON.parse(process.argv[2]);
const log = { debug() {}, info() {}, warn() {}, error() {} };
const pidStart = processStat(process.pid).start;
const random = Math.floor(Math.random() * 2 ** 32).toString(16);
const agent = await Agent.join({
  address,
  session: sessionId({ pid: process.pid, pidStart }, random),
  node: { ...node, incarnation: random, pid: process.pid },
  log,
  nowMs: () => performance.now(),
  onFenced: (expired) => process.send({ event: 'fenced', ...expired }),
});
process.on('message', (message) => {
  if (message === 'held') process.send({ event: 'held', held: agent.table.held() });
  if (message === 'leave') void agent[Symbol.asyncDispose]().then(() => process.disconnect());
});
process.send({ event: 'joined' });
