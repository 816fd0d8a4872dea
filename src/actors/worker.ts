/** A worker as desks know it: a process of this box, or of another whose agent speaks for it. */
import type { Client } from './client.js';

/** How a worker ended, for people. */
export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: number | null;
  /** `exit code 1`, `signal 9`. */
  readonly how: string;
  readonly logTail: readonly string[];
}

export interface Worker {
  /** Its client number. */
  readonly id: number;
  /** Id of the node where it runs. */
  readonly node: string;
  readonly pid: number;
  /** Where it is called, on its own node. */
  readonly path: string;
  readonly peer: Pick<Client, 'tell' | 'close'>;
  /** Resolves when its process is gone. Never rejects. */
  readonly ended: Promise<WorkerEnd>;
  /** End it and what it started. `ended` tells. */
  kill(): void;
}
