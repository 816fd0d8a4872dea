/** Placement groups that clients make: theirs, unless they are detached. */
import type { Group } from '../cluster/api.js';
import { readGroupSpec } from '../cluster/group-spec.js';
import { TwinkleError } from '../errors.js';
import type { GroupFound, MakeGroup } from '../protocol/work.js';
import type { Groups } from './seats.js';

export class GroupDesk {
  readonly #groups: Groups;
  /** Groups that end with their client. */
  readonly #owned = new Map<number, Set<Group>>();

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  /** Its id. @throws `PLACEMENT_INVALID`, `GROUP_NAME_TAKEN` */
  async create(client: number, { bundles, strategy, name, namespace, detached }: MakeGroup): Promise<string> {
    const lifetime = detached ? 'detached' : 'owner';
    const group = await this.#groups.createGroup(
      readGroupSpec({ bundles, strategy, name, namespace, lifetime, hold: 'stateful' }),
    );
    if (!detached) {
      const owned = this.#owned.get(client) ?? new Set();
      this.#owned.set(client, owned.add(group));
    }
    return group.id;
  }

  /** Resolves when every bundle has its place. @throws `GROUP_NOT_FOUND`, `GROUP_REMOVED`, the signal's reason */
  async ready(id: string, signal: AbortSignal): Promise<void> {
    await this.#find(id).ready({ signal });
  }

  /** The living group of that name. Throws `GROUP_NOT_FOUND`. */
  named(name: string, namespace: string): GroupFound {
    const group = this.#groups.groupNamed(name, namespace);
    if (group === null) {
      throw new TwinkleError('GROUP_NOT_FOUND', `no placement group "${name}" in namespace "${namespace}"`);
    }
    return { id: group.id, bundles: group.status.bundles.map(({ resources }) => ({ ...resources })) };
  }

  /** Whoever made it. What runs in it ends. Fine when it is gone. */
  async remove(id: string): Promise<void> {
    await this.#groups.groupOf(id)?.remove();
  }

  clientGone(client: number): void {
    const owned = this.#owned.get(client) ?? [];
    this.#owned.delete(client);
    // A ledger that cannot say so now keeps them until this process ends.
    for (const group of owned) group.remove().catch(() => {});
  }

  #find(id: string): Group {
    const group = this.#groups.groupOf(id);
    if (group === null) throw new TwinkleError('GROUP_NOT_FOUND', `no placement group ${id}`);
    return group;
  }
}
