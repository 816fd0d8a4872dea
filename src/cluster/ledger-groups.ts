/** The groups and leases of a ledger by id and name: those that live and the last of those that were removed. Knows no nodes. */
import { TwinkleError } from '../errors.js';
import type { GroupMachine } from './group-machine.js';
import { REMOVED_REMEMBERED } from './ledger-restore.js';
import { RecentMap } from './recent-map.js';

export class LedgerGroups {
  readonly #living = new Map<string, GroupMachine>();
  readonly #removed = new RecentMap<string, GroupMachine>(REMOVED_REMEMBERED);
  readonly #removedLeases = new RecentMap<string, GroupMachine>(REMOVED_REMEMBERED);
  readonly #names = new Map<string, GroupMachine>();
  #sequence = 0;

  /** For the next group: order of creation. */
  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  /** In the order of creation. */
  living(): IterableIterator<GroupMachine> {
    return this.#living.values();
  }

  /** Groups in the order of removal. @param last only so many, the latest */
  removed(last?: number): IterableIterator<GroupMachine> {
    return this.#removed.values(last);
  }

  /** Leases in the order of removal. */
  removedLeases(): IterableIterator<GroupMachine> {
    return this.#removedLeases.values();
  }

  /** Also removed ones, while they are remembered. */
  get(id: string): GroupMachine | null {
    return this.#living.get(id) ?? this.#removed.get(id) ?? this.#removedLeases.get(id) ?? null;
  }

  /** Living ones only. */
  named(name: string, namespace: string): GroupMachine | null {
    return this.#names.get(nameKey(name, namespace)) ?? null;
  }

  /** @throws `GROUP_NAME_TAKEN` */
  checkName(name: string, namespace: string): void {
    if (name === '') return;
    const holder = this.named(name, namespace);
    if (holder === null) return;
    throw new TwinkleError(
      'GROUP_NAME_TAKEN',
      `expected an unused name but "${name}" is group ${holder.id} in namespace "${namespace}"; remove that one or take another name`,
    );
  }

  add(group: GroupMachine): void {
    this.#living.set(group.id, group);
    const { name, namespace } = group.spec;
    if (name !== '') this.#names.set(nameKey(name, namespace), group);
  }

  /** From the living to the removed; its name is free again. */
  retire(group: GroupMachine): void {
    this.#living.delete(group.id);
    const { name, namespace, task } = group.spec;
    (task === null ? this.#removed : this.#removedLeases).set(group.id, group);
    if (name !== '') this.#names.delete(nameKey(name, namespace));
  }
}

function nameKey(name: string, namespace: string): string {
  return JSON.stringify([namespace, name]);
}
