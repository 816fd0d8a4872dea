/** Who holds a device: placement groups of the clusters, and the servers that asked for them. Pure. */
import type { HeadStatus } from '../../runtime/types.js';
import { exact, shortId } from './amounts.js';
import type { FoundCluster } from './gather.js';
import type { DeviceState } from './states.js';

/** A bundle that holds a device or a part of it. */
export interface Holder {
  /** Id. */
  readonly group: string;
  /** The group's name; empty for none. */
  readonly name: string;
  readonly bundle: number;
  /** 1, or the fraction. */
  readonly quantity: number;
  readonly cluster: string;
  /** Instance of the server whose ranks use it; null: not a server of this home. */
  readonly server: string | null;
}

/** Adds to what a cluster says of a holder: its name, and its server. */
export type Describe = (held: Pick<Holder, 'group' | 'bundle' | 'quantity'>) => Holder;

/** How the holders of one cluster are described. @param servers every server that answered */
export function describeHolders({ snapshot, teller }: FoundCluster, servers: readonly HeadStatus[]): Describe {
  const names = new Map(snapshot.groups.map(({ id, name }) => [id, name]));
  const serverOf = new Map<string, string>();
  let own: string | null = teller.kind === 'serve' && snapshot.nodes.length === 1 ? teller.instance : null;
  for (const { instance, models } of servers) {
    for (const replica of models.flatMap((model) => model.replicas)) {
      const group = replica.group ?? null;
      if (group === null) continue;
      serverOf.set(group, instance);
      // It tells which groups are its own, so the others are not.
      if (instance === own) own = null;
    }
  }
  return ({ group, bundle, quantity }) => ({
    group,
    name: names.get(group) ?? '',
    bundle,
    quantity,
    cluster: snapshot.cluster,
    server: serverOf.get(group) ?? own,
  });
}

/** Of several clusters: uuid of a device → its holders. */
export function holdersByUuid(
  clusters: readonly FoundCluster[],
  servers: readonly HeadStatus[],
): ReadonlyMap<string, readonly Holder[]> {
  const holders = new Map<string, Holder[]>();
  for (const cluster of clusters) {
    const describe = describeHolders(cluster, servers);
    for (const { uuid, heldBy } of cluster.snapshot.nodes.flatMap(({ devices }) => devices)) {
      holders.set(uuid, [...(holders.get(uuid) ?? []), ...heldBy.map(describe)]);
    }
  }
  return holders;
}

/** What is held of a device. The ledger counts in 1/10000. */
export function deviceState(holders: readonly Pick<Holder, 'quantity'>[]): DeviceState {
  const held = Math.round(holders.reduce((sum, { quantity }) => sum + quantity, 0) * 10_000);
  if (held <= 0) return 'free';
  return held < 10_000 ? 'shared' : 'held';
}

/** `llm/0 bundle 2 ×0.5 (server a1b2c3)`; `-` for nobody. */
export function describeHeld(holders: readonly Holder[]): string {
  const words = holders.map(({ group, name, bundle, quantity, server }) => {
    const part = quantity === 1 ? '' : ` ×${exact(quantity)}`;
    return `${name || shortId(group)} bundle ${bundle}${part}${server === null ? '' : ` (server ${server})`}`;
  });
  return words.join(', ') || '-';
}
