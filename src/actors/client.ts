/** A process that joined a node service, a driver or a worker, as desks know it: on this box, or on another whose agent speaks for it. */
import type { Join } from '../protocol/work.js';

export interface Client {
  /** Never given to another, on any box. */
  readonly id: number;
  /** Id of the node that it is on. */
  readonly node: string;
  /** What it said when it joined. */
  readonly hello: Join;
  /** Nothing happens when it has ended. */
  tell(method: string, params: unknown, body?: readonly Uint8Array[]): void;
  close(reason: string): void;
}

/** An answer with bytes beside it. */
export class WithBody {
  constructor(
    readonly value: unknown,
    readonly body: readonly Uint8Array[],
  ) {}
}
