/**
 * Clients that own groups: their sessions, and when one is over. A process that is seen to end takes its groups along at once; one that is
 * only silent keeps them until the grace is over. Knows no sockets.
 */
import { sessionProcess } from './session.js';

export interface OwnersOptions {
  /** Silence that a session survives. */
  readonly graceMs: number;
  /** Resolves when that process is gone; null when it cannot be seen from here (another box). */
  watch(session: string): Promise<void> | null;
  /** The session is over: its groups go. */
  gone(session: string, why: string): void;
}

/** Sees whether processes of this box live: `processGone` resolves at the end of one, at once when it is gone. */
export function watchLocally(
  isAlive: (pid: number, pidStart: string) => boolean,
  processGone: (pid: number) => Promise<void>,
): (session: string) => Promise<void> | null {
  return (session) => {
    const process = sessionProcess(session);
    if (process === null) return null;
    return isAlive(process.pid, process.pidStart) ? processGone(process.pid) : Promise.resolve();
  };
}

export class Owners {
  readonly #options: OwnersOptions;
  /** Session → timer of its silence; null while it is connected. */
  readonly #sessions = new Map<string, NodeJS.Timeout | null>();

  constructor(options: OwnersOptions) {
    this.#options = options;
  }

  /** The session is there: connected, or (false) only known from a journal. */
  here(session: string, connected: boolean): void {
    const known = this.#sessions.get(session);
    if (known === undefined) {
      this.#sessions.set(session, null);
      void this.#options.watch(session)?.then(() => this.#end(session, 'its process ended'));
    } else if (known !== null) clearTimeout(known);
    // A process that was gone already has ended the session by now.
    if (!this.#sessions.has(session)) return;
    this.#sessions.set(session, connected ? null : this.#silence(session));
  }

  /** Its connection is lost; it may come back. */
  silent(session: string): void {
    if (this.#sessions.get(session) === null) this.#sessions.set(session, this.#silence(session));
  }

  /** It said good-bye. */
  left(session: string): void {
    this.#end(session, 'it left');
  }

  close(): void {
    for (const timer of this.#sessions.values()) if (timer !== null) clearTimeout(timer);
    this.#sessions.clear();
  }

  #silence(session: string): NodeJS.Timeout {
    const { graceMs } = this.#options;
    return setTimeout(() => this.#end(session, `silent for ${graceMs / 1000} s`), graceMs);
  }

  #end(session: string, why: string): void {
    const timer = this.#sessions.get(session);
    if (timer === undefined) return;
    if (timer !== null) clearTimeout(timer);
    this.#sessions.delete(session);
    this.#options.gone(session, why);
  }
}
