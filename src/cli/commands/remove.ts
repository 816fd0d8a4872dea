/** `remove`: a placement group of the head on this box, by id, the beginning of an id, or name. What `detached` groups need in the end. */
import type { GroupStatus } from '../../cluster/api.js';
import { EXIT, TwinkleError } from '../../errors.js';
import { didYouMean } from '../../util/did-you-mean.js';
import { homeFolder } from '../home.js';
import type { Handler } from '../io.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io }) => {
  const flags = command.opts<{ home?: string; json?: boolean; namespace: string }>();
  const { connectCluster } = await import('../../runtime/connect-cluster.js');
  await using cluster = await connectCluster({ home: homeFolder(flags.home, io) });
  const { groups } = await cluster.snapshot();
  const group = chosen(String(command.args[0]), flags.namespace, groups);
  await cluster.removeGroup(group.id);
  const { id, name } = group;
  if (flags.json === true) io.stdout.write(`${JSON.stringify({ id, name, removed: true })}\n`);
  else io.stdout.write(`${id}${name === '' ? '' : ` (${name})`} is removed\n`);
  return EXIT.ok;
};

function chosen(word: string, namespace: string, groups: readonly GroupStatus[]): GroupStatus {
  const living = groups.filter(({ state, kind }) => state !== 'REMOVED' && kind !== 'lease');
  const named = living.filter((group) => group.name === word && group.namespace === namespace);
  const matching = named.length > 0 ? named : living.filter(({ id }) => id.startsWith(word));
  const only = matching[0];
  if (only !== undefined && matching.length === 1) return only;
  if (matching.length > 1) {
    throw new TwinkleError('USAGE', `"${word}" begins the ids of ${matching.length} groups; write more of it`);
  }
  const words = living.flatMap(({ id, name }) => (name === '' ? [id] : [id, name]));
  throw new TwinkleError(
    'GROUP_NOT_FOUND',
    `no placement group "${word}" in namespace "${namespace}"${didYouMean(word, words)}; see \`twinkle-node list placement-groups\``,
  );
}
