/** Session of this process, by which a head sees whether it lives. */
import { randomBytes } from 'node:crypto';
import { sessionId } from '../../../dist/cluster/session.js';
import { processStat } from '../../../dist/util/proc-stat.js';

export function session() {
  const { start } = processStat(process.pid);
  return sessionId({ pid: process.pid, pidStart: start }, randomBytes(8).toString('hex'));
}
