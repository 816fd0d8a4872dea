/** A queue that serves its tenants in turn and each tenant in order, so that no key can keep the others waiting. Pure. */

export class FairQueue<T> {
  readonly #byTenant = new Map<string, T[]>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Last of its tenant. */
  push(tenant: string, item: T): void {
    const line = this.#byTenant.get(tenant);
    if (line === undefined) this.#byTenant.set(tenant, [item]);
    else line.push(item);
    this.#length += 1;
  }

  /** First of its tenant (behind those that are `older`), and that tenant's turn is now: for what has waited before. */
  unshift(tenant: string, item: T, older: (other: T) => boolean = () => false): void {
    const line = this.#byTenant.get(tenant) ?? [];
    const others = [...this.#byTenant].filter(([name]) => name !== tenant);
    const at = line.findIndex((other) => !older(other));
    this.#byTenant.clear();
    this.#byTenant.set(tenant, line.toSpliced(at < 0 ? line.length : at, 0, item));
    for (const [name, rest] of others) this.#byTenant.set(name, rest);
    this.#length += 1;
  }

  /** Whose turn it is, of those that are not to be skipped; undefined when there is none. */
  peek(skip: (item: T) => boolean = () => false): T | undefined {
    for (const line of this.#byTenant.values()) {
      const item = line.find((one) => !skip(one));
      if (item !== undefined) return item;
    }
    return undefined;
  }

  /** Take what `peek` showed; its tenant goes to the back. */
  take(tenant: string, item: T): void {
    if (!this.remove(tenant, item)) return;
    const line = this.#byTenant.get(tenant);
    if (line === undefined) return;
    this.#byTenant.delete(tenant);
    this.#byTenant.set(tenant, line);
  }

  /** Take `item` out wherever it is; false when it is not here. */
  remove(tenant: string, item: T): boolean {
    const line = this.#byTenant.get(tenant);
    const at = line?.indexOf(item) ?? -1;
    if (line === undefined || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.#byTenant.delete(tenant);
    this.#length -= 1;
    return true;
  }

  /** Everything, in no promised order. */
  items(): T[] {
    return [...this.#byTenant.values()].flat();
  }
}
