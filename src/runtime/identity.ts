/** Who this machine is where it is the only node. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { packageVersion } from '../config/package-root.js';
import type { NodeIdentity } from './local-node.js';

/** Id and name are the host's name: nobody else is there to be confused with. */
export function ownIdentity(): NodeIdentity {
  const name = hostname() || 'this-machine';
  const incarnation = randomBytes(8).toString('hex');
  return { id: name, name, address: '127.0.0.1', incarnation, version: packageVersion(), pid: process.pid };
}
