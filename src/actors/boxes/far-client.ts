/** A client of another box, and a worker there, as the desks of the head know them: their agent hears what is said to them. */
import type { Join } from '../../protocol/work.js';
import { type Deferred, deferred } from '../../util/deferred.js';
import type { Client } from '../client.js';
import type { Worker, WorkerEnd } from '../worker.js';
import type { HeadTells } from './words.js';

/** Their box. */
export interface FarHome {
  /** Id of its node. */
  readonly node: string;
  /** Tell its agent. Nothing happens when that has left. */
  cast<M extends keyof HeadTells & string>(method: M, params: HeadTells[M]): void;
}

export class FarClient implements Client {
  constructor(
    readonly id: number,
    readonly hello: Join,
    private readonly home: FarHome,
  ) {}

  get node(): string {
    return this.home.node;
  }

  tell(method: string, params: unknown, body: readonly Uint8Array[] = []): void {
    this.home.cast('work.tell', { client: this.id, method, params, body: joined(body) });
  }

  close(reason: string): void {
    this.home.cast('work.close', { client: this.id, reason });
  }
}

export class FarWorker implements Worker {
  /** Its end, once it is told. */
  readonly over: Deferred<WorkerEnd> = deferred<WorkerEnd>();

  constructor(
    readonly peer: FarClient,
    readonly pid: number,
    readonly path: string,
    private readonly home: FarHome,
  ) {}

  get id(): number {
    return this.peer.id;
  }

  get node(): string {
    return this.home.node;
  }

  get ended(): Promise<WorkerEnd> {
    return this.over.promise;
  }

  kill(): void {
    this.home.cast('work.kill', { client: this.id });
  }
}

/** As one frame carries them. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
