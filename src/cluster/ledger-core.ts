/**
 * What all parts of a ledger share: its surroundings, the state of the scheduler, and what leaves it. Messages and events leave only when
 * the call that made them is done, so that nobody sees, or answers into, half a change.
 */
import { ClusterState } from '../scheduler/cluster-state.js';
import type { ClusterTimers, LedgerEnvironment, LedgerEvent, LedgerRecord, ToAgent } from './types.js';

export class LedgerCore {
  readonly env: LedgerEnvironment;
  readonly timers: ClusterTimers;
  readonly epoch: number;
  /** All claims of all nodes are taken in here. */
  readonly state = new ClusterState();
  #version = 0;
  #messages = new Map<string, ToAgent[]>();
  #events: LedgerEvent[] = [];

  constructor(env: LedgerEnvironment, timers: ClusterTimers, epoch: number) {
    this.env = env;
    this.timers = timers;
    this.epoch = epoch;
  }

  /** Grows with everything that a reader could notice. */
  get version(): number {
    return this.#version;
  }

  touch(): void {
    this.#version += 1;
  }

  append(record: LedgerRecord): void {
    this.#version += 1;
    this.env.append(record);
  }

  /** To that node's agent, when the call is done. */
  post(node: string, message: ToAgent): void {
    const waiting = this.#messages.get(node);
    if (waiting === undefined) this.#messages.set(node, [message]);
    else waiting.push(message);
  }

  event(event: LedgerEvent): void {
    this.#version += 1;
    this.#events.push(event);
  }

  /** Hand everything out, messages first. @returns whether there was anything */
  flush(): boolean {
    const messages = this.#messages;
    const events = this.#events;
    if (messages.size === 0 && events.length === 0) return false;
    this.#messages = new Map();
    this.#events = [];
    for (const [node, batch] of messages) this.env.send(node, { epoch: this.epoch, messages: batch });
    for (const event of events) this.env.event(event);
    return true;
  }
}
