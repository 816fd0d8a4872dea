/** Recorded sequences of operations, one JSON object a line: their form, and checking it. Pure. */
import { type DescribedNode, parseNodes } from './node-spec.js';
import { checkQuantities } from './quantity.js';
import type { GroupRequest, Resources } from './types.js';
import { compileGroup } from './validate.js';
import { entriesOf, invalid, unexpected } from './written.js';

/** One operation. `hold`: an amount of one node, by itself. `release`: gives back what `id` has, or takes it out of the queue. */
export type ReplayOp =
  | { readonly op: 'create'; readonly id: string; readonly request: GroupRequest }
  | { readonly op: 'hold'; readonly id: string; readonly node: string; readonly resources: Resources }
  | { readonly op: 'release'; readonly id: string };

/** A sequence on a cluster of its own. */
export interface ReplayCase {
  readonly name: string;
  readonly nodes: readonly DescribedNode[];
  readonly ops: readonly ReplayOp[];
}

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  create: ['id', 'strategy', 'bundles', 'labels', 'target'],
  occupy: ['id', 'node', 'res'],
  actor: ['id', 'node', 'res'],
  remove: ['id'],
  kill: ['id'],
};

/**
 * Check `{ case, nodes, ops }`; what else stands in it (a record's outcomes) is not looked at.
 * @throws `PLACEMENT_INVALID`
 */
export function parseCase(value: unknown): ReplayCase {
  const fields = new Map(entriesOf(value, 'case', 'an object with case, nodes and ops'));
  const name = fields.get('case');
  if (typeof name !== 'string') throw unexpected('a name', 'case', name);
  const nodes = parseNodes(fields.get('nodes'), 'nodes');
  const ops = fields.get('ops');
  if (!Array.isArray(ops)) throw unexpected('a list of operations', 'ops', ops);
  const known = new Set<string>();
  return { name, nodes, ops: ops.map((op: unknown, index) => opOf(op, `ops[${index}]`, nodes, known)) };
}

function opOf(written: unknown, path: string, nodes: readonly DescribedNode[], known: Set<string>): ReplayOp {
  const fields = new Map(entriesOf(written, path));
  const op = fields.get('op');
  const allowed = typeof op === 'string' && Object.hasOwn(FIELDS, op) ? FIELDS[op] : undefined;
  if (allowed === undefined) throw unexpected(Object.keys(FIELDS).join(', '), `${path}.op`, op);
  const extra = [...fields.keys()].find((name) => name !== 'op' && !allowed.includes(name));
  if (extra !== undefined) throw invalid(`\`${path}\`: ${String(op)} has no field ${extra}; leave it out`);
  const id = fields.get('id');
  if (typeof id !== 'string') throw unexpected('a name', `${path}.id`, id);
  if (op === 'remove' || op === 'kill') {
    if (!known.has(id)) throw unexpected('the id of an earlier operation', `${path}.id`, id);
    return { op: 'release', id };
  }
  if (known.has(id)) throw unexpected('an id that no earlier operation has', `${path}.id`, id);
  known.add(id);
  const nodeAt = (name: string): string => nodeOf(fields.get(name), `${path}.${name}`, nodes);
  if (op !== 'create') {
    const { resources } = checkQuantities(fields.get('res'), `${path}.res`);
    return { op: 'hold', id, node: nodeAt('node'), resources };
  }
  const softTarget = (fields.get('target') ?? null) === null ? null : nodeAt('target');
  try {
    const request = compileGroup(
      {
        bundles: fields.get('bundles'),
        strategy: fields.get('strategy'),
        bundleLabelSelector: fields.get('labels'),
        softTarget,
      },
      { bundleLabelSelector: 'labels', softTarget: 'target' },
    );
    return { op: 'create', id, request };
  } catch (error) {
    throw invalid(`\`${path}\`: ${(error as Error).message}`);
  }
}

function nodeOf(index: unknown, path: string, nodes: readonly DescribedNode[]): string {
  const node = typeof index === 'number' ? nodes[index] : undefined;
  if (node === undefined) throw unexpected(`the position of a node, 0 to ${nodes.length - 1},`, path, index);
  return node.id;
}
