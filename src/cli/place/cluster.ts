/** The cluster of a what-if: nodes of a file, or this machine, and what is in use there. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { freeDevices } from '../../config/devices.js';
import { TwinkleError } from '../../errors.js';
import { localSpec } from '../../runtime/local-node.js';
import { ClusterState } from '../../scheduler/cluster-state.js';
import { take } from '../../scheduler/free.js';
import { type DescribedNode, parseNodes } from '../../scheduler/node-spec.js';
import { checkQuantities } from '../../scheduler/quantity.js';
import { describeResources } from '../../scheduler/resources.js';
import type { CliContext } from '../io.js';
import { jsonOf, type PlaceFlags } from './flags.js';

/**
 * Nodes with everything free but what `--busy` takes.
 * @throws `CONFIG_INVALID` when the file cannot be read, `PLACEMENT_INVALID` for what is in it, `USAGE` for `--busy`
 */
export async function whatIfCluster(flags: PlaceFlags, context: CliContext): Promise<ClusterState> {
  const nodes = flags.nodes === undefined ? [await thisMachine(context)] : await nodesOf(flags.nodes, context.io.cwd);
  const state = new ClusterState();
  for (const { schedulable, ...spec } of nodes) state.addNode(spec, schedulable);
  for (const busy of flags.busy ?? []) occupy(state, busy);
  return state;
}

async function thisMachine({ io, parts }: CliContext): Promise<DescribedNode> {
  const native = await parts.native();
  const offer = freeDevices(['gpu', 'npu'], native.devices(), io.env);
  const identity = { id: 'this-machine', name: '', address: '', incarnation: '', version: '', pid: null };
  return { ...localSpec(identity, { ...offer, cpus: null }, native.cpu()), schedulable: true };
}

async function nodesOf(path: string, cwd: string): Promise<DescribedNode[]> {
  let text: string;
  try {
    text = await readFile(resolve(cwd, path), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TwinkleError(
      'CONFIG_INVALID',
      code === 'ENOENT' ? `expected a file for \`--nodes\` but there is no ${path}` : `cannot read ${path}: ${code}`,
      { cause: error },
    );
  }
  return parseNodes(await yamlOf(text, path), path);
}

async function yamlOf(text: string, path: string): Promise<unknown> {
  const { LineCounter, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [first] = document.errors;
  if (first !== undefined) {
    const { line, col } = lines.linePos(first.pos[0]);
    throw new TwinkleError('CONFIG_INVALID', `${path}:${line}:${col}: ${first.message}`);
  }
  try {
    return document.toJS() as unknown;
  } catch (error) {
    throw new TwinkleError('CONFIG_INVALID', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

function occupy(state: ClusterState, written: string): void {
  const cut = written.indexOf('=');
  if (cut < 0) {
    throw new TwinkleError('USAGE', `expected NODE=JSON for \`--busy\` but received ${JSON.stringify(written)}`);
  }
  const id = written.slice(0, cut);
  const node = knownNode(state, id, '--busy');
  const { resources } = checkQuantities(jsonOf(written.slice(cut + 1), '--busy'), `--busy ${id}`);
  const taken = take(node.free, resources);
  if (taken === null || !state.claim(id, taken.grant)) {
    throw new TwinkleError('USAGE', `\`--busy\`: ${id} does not have ${describeResources(resources)} free; take less`);
  }
}

/** The node that a flag names. @throws `USAGE` */
export function knownNode(
  state: ClusterState,
  id: string,
  flag: string,
): NonNullable<ReturnType<ClusterState['node']>> {
  const node = state.node(id);
  if (node !== null) return node;
  const ids = [...state.nodes()].slice(0, 5).map(({ spec }) => spec.id);
  const more = state.size > ids.length ? ', …' : '';
  throw new TwinkleError(
    'USAGE',
    `\`${flag}\`: there is no node ${JSON.stringify(id)}; known: ${ids.join(', ')}${more}`,
  );
}
