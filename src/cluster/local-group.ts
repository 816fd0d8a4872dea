/**
 * A placement group in the hands of who made it: waiting for it, hearing of its changes. The same for a ledger in this process and for a
 * head that pushes.
 */
import { TwinkleError } from '../errors.js';
import type { NodeReason } from '../scheduler/types.js';
import { deferred } from '../util/deferred.js';
import { Emitter } from '../util/emitter.js';
import type { Group, GroupStatus } from './api.js';

/** Most nodes whose reason a message repeats; `details.nodes` has them all. */
const REASONS_SHOWN = 8;

/** Who keeps the group: a ledger in this process, or the connection to a head. */
export interface GroupSource {
  /** As last heard. */
  status(): GroupStatus;
  explain(): Promise<readonly NodeReason[]>;
  remove(): Promise<void>;
}

export class LocalGroup implements Group {
  readonly id: string;
  readonly #source: GroupSource;
  readonly #emitter = new Emitter<{ change: (status: GroupStatus) => void }>();
  #listeners = 0;

  constructor(id: string, source: GroupSource) {
    this.id = id;
    this.#source = source;
  }

  get status(): GroupStatus {
    return this.#source.status();
  }

  /** For the source: the status is another than before. */
  changed(): void {
    if (this.#listeners > 0) this.#emitter.emit('change', this.status);
  }

  async ready(options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {}): Promise<GroupStatus> {
    const { signal, timeoutMs } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = deferred<GroupStatus | 'late'>();
    const look = (status: GroupStatus): void => {
      if (status.state === 'CREATED') resolve(status);
      else if (status.state === 'REMOVED') reject(removed(status));
    };
    const onAbort = (): void => reject(signal?.reason);
    const stop = this.onChange(look);
    signal?.addEventListener('abort', onAbort);
    const timer = timeoutMs === undefined ? null : setTimeout(() => resolve('late'), timeoutMs);
    try {
      look(this.status);
      const outcome = await promise;
      if (outcome !== 'late') return outcome;
    } finally {
      if (timer !== null) clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      stop();
    }
    throw await this.#late(timeoutMs ?? 0);
  }

  onChange(listener: (status: GroupStatus) => void): () => void {
    const stop = this.#emitter.on('change', listener);
    this.#listeners += 1;
    let stopped = false;
    return () => {
      if (stopped) return;
      stopped = true;
      this.#listeners -= 1;
      stop();
    };
  }

  explain(): Promise<readonly NodeReason[]> {
    return this.#source.explain();
  }

  remove(): Promise<void> {
    return this.#source.remove();
  }

  async #late(timeoutMs: number): Promise<TwinkleError> {
    const nodes = await this.explain().catch((): readonly NodeReason[] => []);
    const { id, reason, scheduling } = this.status;
    const told = nodes.slice(0, REASONS_SHOWN).map((node) => `${node.node}: ${node.reason}`);
    if (nodes.length > told.length) told.push(`and ${nodes.length - told.length} more`);
    const why = [reason ?? scheduling, ...told].join('; ');
    return new TwinkleError('DEADLINE_EXCEEDED', `group ${id} was not placed within ${timeoutMs} ms: ${why}`, {
      details: { group: id, scheduling, reason, nodes },
    });
  }
}

function removed({ id, reason, scheduling }: GroupStatus): TwinkleError {
  if (scheduling === 'UNSCHEDULABLE') {
    return new TwinkleError('TASK_UNSCHEDULABLE', `lease ${id} has no node: ${reason}`, {
      details: { group: id, reason },
    });
  }
  return new TwinkleError('GROUP_REMOVED', `group ${id} was removed${reason === null ? '' : `: ${reason}`}`);
}
