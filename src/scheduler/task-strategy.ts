/** How a task or actor wants its node, as users write it → {@link TaskStrategy}. Pure. */
import { didYouMean } from '../util/did-you-mean.js';
import type { TaskStrategy } from './types.js';
import { entriesOf, flagOf, invalid, unexpected } from './written.js';

/** Ray's id of no node: 28 bytes of ones. */
const NIL_NODE = /^f{56}$/i;

/**
 * Compile `DEFAULT` (also nothing), `SPREAD` or a node affinity.
 * @throws `PLACEMENT_INVALID`
 */
export function affinityOf(written: unknown): TaskStrategy {
  const path = 'schedulingStrategy';
  if (written === undefined || written === null || written === 'DEFAULT') return { kind: 'default' };
  if (written === 'SPREAD') return { kind: 'spread' };
  if (typeof written === 'string') {
    throw unexpected(
      'DEFAULT, SPREAD or {"nodeId": …}',
      path,
      written,
      didYouMean(written, ['DEFAULT', 'SPREAD']).slice(2) || undefined,
    );
  }
  return nodeAffinity(new Map(entriesOf(written, path, 'DEFAULT, SPREAD or {"nodeId": …}')), path, 'nodeId');
}

/**
 * Compile the fields of a node affinity.
 * @param path what messages call it
 * @param called the field with the id of the node
 * @throws `PLACEMENT_INVALID`
 */
export function nodeAffinity(
  fields: ReadonlyMap<string, unknown>,
  path: string,
  called: 'nodeId' | 'node',
): TaskStrategy {
  const known = [called, 'soft', 'spillOnUnavailable', 'failOnUnavailable'];
  for (const name of fields.keys()) {
    if (!known.includes(name)) throw invalid(`\`${path}\` has no field ${name}${didYouMean(name, known)}`);
  }
  const node = fields.get(called);
  if (typeof node !== 'string' || node === '' || NIL_NODE.test(node)) {
    throw unexpected('the id of a node', `${path}.${called}`, node, 'see twinkle-node list nodes');
  }
  if (!fields.has('soft')) throw unexpected('true or false', `${path}.soft`, undefined, 'false: only that node');
  const soft = flagOf(fields.get('soft'), `${path}.soft`);
  const spillOnUnavailable = flagOf(fields.get('spillOnUnavailable'), `${path}.spillOnUnavailable`);
  const failOnUnavailable = flagOf(fields.get('failOnUnavailable'), `${path}.failOnUnavailable`);
  if (spillOnUnavailable && !soft) {
    throw invalid(`\`${path}\`: spillOnUnavailable needs soft: true, because a hard affinity never leaves its node`);
  }
  if (failOnUnavailable && soft) {
    throw invalid(`\`${path}\`: failOnUnavailable needs soft: false, because a soft affinity may go elsewhere`);
  }
  return { kind: 'node-affinity', node, soft, spillOnUnavailable, failOnUnavailable };
}
