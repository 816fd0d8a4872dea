/** The connection of this process with the node service: questions with an answer, and words without one. */
import type { Socket } from 'node:net';
import type { Asks, Tells } from '../actors/methods.js';
import { isErrorCode, TwinkleError } from '../errors.js';
import type { Answer, Join, Joined, Refusal, Tell } from '../protocol/work.js';
import { FramedSocket } from '../transport/framed-socket.js';
import { type Deferred, deferred } from '../util/deferred.js';

export interface LinkEvents {
  /** What the service says without being asked. */
  told(method: string, params: never, body: Uint8Array): void;
  /** Once: the connection is over. */
  ended(error: TwinkleError): void;
}

export interface Answered {
  readonly value: unknown;
  /** A copy of what was received. */
  readonly body: Uint8Array;
}

export class Link {
  readonly #socket: FramedSocket;
  readonly #events: LinkEvents;
  readonly #open = new Map<number, Deferred<Answered>>();
  readonly #joined = deferred<Joined>();
  #next = 0;
  #over: TwinkleError | null = null;

  constructor(socket: Socket, events: LinkEvents) {
    this.#events = events;
    this.#joined.promise.catch(() => {});
    this.#socket = new FramedSocket(socket, {
      frame: (head, body) => this.#heard(head as Joined | Answer | Refusal | Tell, body),
      end: (reason) => this.#ended(reason),
    });
  }

  /** Why the connection has ended; null while it stands. */
  get over(): TwinkleError | null {
    return this.#over;
  }

  /** Say who this is. Throws what the service refuses, `HEAD_UNREACHABLE`. */
  async join(hello: Omit<Join, 't'>): Promise<Joined> {
    this.#socket.send({ t: 'join', ...hello });
    return await this.#joined.promise;
  }

  /** Ask. Rejects with what the service refuses, `HEAD_UNREACHABLE` when the connection has ended; `withdraw` when the signal aborts. */
  async ask<M extends keyof Asks>(
    method: M,
    params: Asks[M],
    body: readonly Uint8Array[] = [],
    signal?: AbortSignal,
  ): Promise<Answered> {
    if (this.#over !== null) throw this.#over;
    const id = this.#next++;
    this.#socket.send({ t: 'ask', id, method, params }, body);
    const answer = deferred<Answered>();
    this.#open.set(id, answer);
    const withdraw = (): void => this.#socket.send({ t: 'withdraw-ask', id });
    signal?.addEventListener('abort', withdraw, { once: true });
    try {
      return await answer.promise;
    } finally {
      signal?.removeEventListener('abort', withdraw);
    }
  }

  /** Say it. Lost when the connection has ended. */
  tell<M extends keyof Tells>(method: M, params: Tells[M], body: readonly Uint8Array[] = []): void {
    this.#socket.send({ t: 'tell', method, params }, body);
  }

  close(): void {
    this.#socket.end('closed by this process');
  }

  #heard(said: Joined | Answer | Refusal | Tell, body: Buffer): void {
    switch (said.t) {
      case 'answer':
        this.#take(said.id)?.resolve({ value: said.value, body: new Uint8Array(body) });
        return;
      case 'refusal': {
        const code = isErrorCode(said.code) ? said.code : 'INTERNAL';
        const error = new TwinkleError(code, said.message, { details: said.details });
        if (said.id >= 0) this.#take(said.id)?.reject(error);
        else this.#end(error);
        return;
      }
      case 'tell':
        this.#events.told(said.method, said.params as never, new Uint8Array(body));
        return;
      case 'joined':
        this.#joined.resolve(said);
    }
  }

  #take(id: number): Deferred<Answered> | undefined {
    const answer = this.#open.get(id);
    this.#open.delete(id);
    return answer;
  }

  #ended(reason: string): void {
    this.#end(new TwinkleError('HEAD_UNREACHABLE', `the connection with the node service ended: ${reason}`));
  }

  #end(error: TwinkleError): void {
    if (this.#over !== null) return;
    this.#over = error;
    this.#joined.reject(error);
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const answer of open) answer.reject(error);
    this.#events.ended(error);
  }
}
