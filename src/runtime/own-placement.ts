/** Placement without a head: a ledger in this process over this machine alone. It ends with the process; nobody else sees it. */
import { openLocalCluster } from '../cluster/local-cluster.js';
import type { ServeConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import type { CpuInfo } from '../native/types.js';
import { ownIdentity } from './identity.js';
import { localNode } from './local-node.js';
import type { PlacementSource } from './place-replicas.js';

/**
 * Open it over what this machine offers. Disposing `cluster` ends it.
 * @throws `HEAD_UNREACHABLE` when the configuration wants a head and nothing else
 */
export function openOwnPlacement(
  { node, address }: Pick<ServeConfig, 'node' | 'address'>,
  cpu: CpuInfo,
): PlacementSource {
  if (address === 'auto') {
    throw new TwinkleError(
      'HEAD_UNREACHABLE',
      'expected a head for `address` auto but was given none; start one, or say --address local',
    );
  }
  const cluster = openLocalCluster({ hello: localNode(ownIdentity(), node, cpu) });
  return { cluster, sole: true, nodes: null, devices: node.devices, leftOut: node.leftOut };
}
