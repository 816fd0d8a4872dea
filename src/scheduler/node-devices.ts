/** The devices of a described node: who is linked with whom, and on which NUMA node. Pure. */
import { isUnitResource, WHOLE } from './resources.js';
import type { LinkKind, NodeDevices, Resources } from './types.js';
import { invalid, unexpected } from './written.js';

/** Most devices of one kind on one node. */
const MAX_DEVICES = 1024;

type Link = NodeDevices['links'][number];

/**
 * Compile `links` (`nvlink`, `hccs`: all with all; `[[0, 1], [2, 3]]`: inside each island) and `numa` (a number per device).
 * @param path of the node
 * @returns the devices of a node, by its id
 * @throws `PLACEMENT_INVALID`
 */
export function devicesOf(
  total: Resources,
  links: unknown,
  numa: unknown,
  path: string,
): (id: string) => ReadonlyMap<string, NodeDevices> {
  const kinds = [...total].filter(([name]) => isUnitResource(name));
  for (const [name, units] of kinds) {
    if (units > MAX_DEVICES * WHOLE)
      throw unexpected(`at most ${MAX_DEVICES}`, `${path}.resources.${name}`, units / WHOLE);
  }
  if (links === undefined && numa === undefined) return () => new Map();
  const [only, other] = kinds;
  if (only === undefined || other !== undefined) {
    const found = other === undefined ? 'none' : kinds.map(([name]) => name).join(' and ');
    throw invalid(
      `\`${path}\`: links and numa describe the devices of one kind but the node has ${found}; leave them out`,
    );
  }
  const [resource, units] = only;
  const count = units / WHOLE;
  const pairs = linksOf(links, resource, count, `${path}.links`);
  const nodes = numaOf(numa, count, `${path}.numa`);
  return (id) => {
    const ids = Array.from({ length: count }, (_, instance) => `${id}/${resource}-${instance}`);
    return new Map([[resource, { ids, numa: nodes, links: pairs }]]);
  };
}

function linksOf(written: unknown, resource: string, count: number, path: string): Link[] {
  if (written === undefined) return [];
  if (written === 'nvlink' || written === 'hccs') return island([...new Array(count).keys()], written);
  if (!Array.isArray(written)) {
    throw unexpected('nvlink, hccs or islands', path, written, 'write [[0, 1, 2, 3], [4, 5, 6, 7]]');
  }
  const kind: LinkKind = resource === 'NPU' ? 'hccs' : 'nvlink';
  const seen = new Set<number>();
  return written.flatMap((members: unknown, index) => {
    const at = `${path}[${index}]`;
    if (!Array.isArray(members)) throw unexpected('a list of device numbers', at, members);
    for (const member of members) {
      if (!Number.isInteger(member) || member < 0 || member >= count) {
        throw unexpected(`device numbers from 0 to ${count - 1}`, at, member);
      }
      if (seen.has(member)) throw invalid(`\`${path}\` has device ${member} twice; an island is a set of its own`);
      seen.add(member);
    }
    return island(members, kind);
  });
}

function island(members: readonly number[], kind: LinkKind): Link[] {
  return members.flatMap((a, index) => members.slice(index + 1).map((b) => ({ a, b, kind, lanes: 1 })));
}

function numaOf(written: unknown, count: number, path: string): (number | null)[] {
  if (written === undefined) return new Array(count).fill(null);
  if (!Array.isArray(written) || written.length !== count) {
    throw unexpected(`a list of ${count} numbers, one per device,`, path, written);
  }
  return written.map((node: unknown, instance) => {
    if (node === null) return null;
    if (typeof node !== 'number' || !Number.isInteger(node) || node < 0) {
      throw unexpected('the number of a NUMA node', `${path}[${instance}]`, node);
    }
    return node;
  });
}
