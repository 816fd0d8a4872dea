/** Nodes as a file describes them → {@link NodeSpec}: for what-ifs without a cluster. Pure. */
import { didYouMean } from '../util/did-you-mean.js';
import { NODE_ID_LABEL, parseSelector } from './labels.js';
import { devicesOf } from './node-devices.js';
import { checkTotals } from './quantity.js';
import type { NodeSpec } from './types.js';
import { entriesOf, flagOf, invalid, shown, unexpected } from './written.js';

/** Most nodes of one description. */
const MAX_NODES = 100_000;

const FIELDS = ['id', 'resources', 'labels', 'count', 'links', 'numa', 'unschedulable'];
/** Names of the recorded cases of Ray. */
const ALIASES: Readonly<Record<string, string>> = { res: 'resources' };

/** A described node, and whether it takes work. */
export interface DescribedNode extends NodeSpec {
  readonly schedulable: boolean;
}

/**
 * Compile `[{ id, resources, labels, count, links, numa, unschedulable }]`, bare or under the key `nodes`. A node without `id` is
 * `node-<position>`; `count` makes that many, `id-0` to `id-<count - 1>`.
 * @param value what the file holds, parsed
 * @param name what messages call it
 * @throws `PLACEMENT_INVALID`
 */
export function parseNodes(value: unknown, name: string): DescribedNode[] {
  const inside = typeof value === 'object' && value !== null && !Array.isArray(value) && 'nodes' in value;
  const path = inside ? `${name}: nodes` : name;
  const list: unknown = inside ? value.nodes : value;
  if (!Array.isArray(list)) throw unexpected('a list of nodes', path, list, 'write - {resources: {CPU: 8, GPU: 1}}');
  if (list.length === 0) throw unexpected('one node or more', path, list);
  const nodes: DescribedNode[] = [];
  const ids = new Set<string>();
  for (const [index, written] of list.entries()) {
    const at = `${path}[${index}]`;
    for (const node of nodesOf(written, at, nodes.length)) {
      if (ids.has(node.id)) throw invalid(`\`${at}\` is a second node ${node.id}; give it another id`);
      ids.add(node.id);
      nodes.push(node);
    }
  }
  return nodes;
}

function* nodesOf(written: unknown, path: string, before: number): Generator<DescribedNode> {
  const fields = fieldsOf(written, path);
  const count = countOf(fields.get('count'), `${path}.count`, before);
  const id = idOf(fields.get('id'), `${path}.id`);
  const total = checkTotals(fields.get('resources') ?? {}, `${path}.resources`);
  const labels = labelsOf(fields.get('labels') ?? {}, `${path}.labels`);
  const schedulable = !flagOf(fields.get('unschedulable'), `${path}.unschedulable`);
  const devices = devicesOf(total, fields.get('links'), fields.get('numa'), path);
  for (let index = 0; index < (count ?? 1); index++) {
    const own = id === null ? `node-${before + index}` : count === null ? id : `${id}-${index}`;
    yield { id: own, total, labels, devices: devices(own), schedulable };
  }
}

function fieldsOf(written: unknown, path: string): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [key, value] of entriesOf(written, path, 'a node such as {resources: {GPU: 8}}')) {
    const field = Object.hasOwn(ALIASES, key) ? (ALIASES[key] ?? key) : key;
    if (!FIELDS.includes(field)) {
      const hint = didYouMean(key, FIELDS);
      throw invalid(`\`${path}\` has no field ${shown(key)}${hint === '' ? `; known are ${FIELDS.join(', ')}` : hint}`);
    }
    if (fields.has(field)) throw invalid(`\`${path}\` has ${field} twice; leave one out`);
    fields.set(field, value ?? undefined);
  }
  if (!fields.has('resources')) {
    throw unexpected('what the node has', `${path}.resources`, undefined, 'write resources: {CPU: 8}');
  }
  return fields;
}

function countOf(written: unknown, path: string, before: number): number | null {
  if (written === undefined) return null;
  if (typeof written !== 'number' || !Number.isInteger(written) || written < 1) {
    throw unexpected('a whole number from 1', path, written);
  }
  if (before + written > MAX_NODES) throw unexpected(`at most ${MAX_NODES} nodes in all`, path, written);
  return written;
}

/** Ids are values of the label ray.io/node-id, so that a selector can name them. */
function idOf(written: unknown, path: string): string | null {
  if (written === undefined) return null;
  if (!isLabelValue('id', written, path)) {
    throw unexpected('letters, digits, "-", "_" and "."', path, written, 'a selector must be able to name it');
  }
  return String(written);
}

function labelsOf(written: unknown, path: string): Map<string, string> {
  const labels = new Map<string, string>();
  for (const [key, value] of entriesOf(written, path)) {
    if (key === NODE_ID_LABEL) throw invalid(`\`${path}\` may not have ${key}: it is the id of the node`);
    if (!isLabelValue(key, value, path)) throw unexpected('a label value', `${path}["${key}"]`, value, 'write text');
    labels.set(key, String(value));
  }
  return labels;
}

/** Selectors have the same grammar for names and values, and forms of their own on top. */
function isLabelValue(key: string, value: unknown, path: string): boolean {
  if (typeof value !== 'string' || /^!|^in\(/.test(value)) return false;
  parseSelector({ [key]: value }, path);
  return true;
}
