/** One process that joined the node service, a driver or a worker: its questions are answered, and it is told things. */
import type { Socket } from 'node:net';
import { asTwinkleError, TwinkleError } from '../errors.js';
import { type Ask, type FromClient, type Join, type Joined, WORK_PROTOCOL } from '../protocol/work.js';
import { FramedSocket } from '../transport/framed-socket.js';
import { deferred } from '../util/deferred.js';

/** An answer with bytes beside it. */
export class WithBody {
  constructor(
    readonly value: unknown,
    readonly body: readonly Uint8Array[],
  ) {}
}

export interface ClientHandlers {
  /** Its value, or what it resolves to, is the answer; {@link WithBody} carries bytes. Thrown errors are the refusal. */
  ask(method: string, params: Record<string, unknown>, body: Buffer, signal: AbortSignal): unknown;
  tell(method: string, params: Record<string, unknown>, body: Buffer): void;
  /** Once. */
  gone(reason: string): void;
}

/** A longer backlog than that is a client that does not read: it is cut off, or it would fill the memory. */
const LONGEST_BACKLOG = 256 * 1024 * 1024;

export class ClientPeer {
  readonly id: number;
  readonly #socket: FramedSocket;
  /** Questions that have no answer yet. */
  readonly #open = new Map<number, AbortController>();
  readonly #joined = deferred<Join>();
  #hello: Join | null = null;
  #handlers: ClientHandlers | null = null;

  /** @param id never given to another */
  constructor(socket: Socket, id: number) {
    this.id = id;
    this.#joined.promise.catch(() => {}); // whoever waits for it sees it
    this.#socket = new FramedSocket(socket, {
      frame: (head, body) => this.#heard(head as FromClient, body),
      end: (reason) => {
        for (const open of this.#open.values()) open.abort();
        this.#joined.reject(new TwinkleError('CHANNEL_CLOSED', `client ${id} ended before it had joined: ${reason}`));
        this.#handlers?.gone(reason);
      },
    });
  }

  /** What it said when it joined. Rejects when it ends before. */
  get joined(): Promise<Join> {
    return this.#joined.promise;
  }

  get hello(): Join {
    if (this.#hello === null) throw new Error(`client ${this.id} has not joined`);
    return this.#hello;
  }

  get ended(): boolean {
    return this.#socket.ended;
  }

  /** Let it in: from here on it is heard. */
  welcome(joined: Omit<Joined, 't' | 'client'>, handlers: ClientHandlers): void {
    this.#handlers = handlers;
    this.#socket.send({ t: 'joined', client: this.id, ...joined });
    if (this.#socket.ended) handlers.gone('it ended while it joined');
  }

  /** Not let in. */
  refuse(error: TwinkleError): void {
    this.#refuse(-1, error);
    this.#socket.end(error.message);
  }

  tell(method: string, params: unknown, body: readonly Uint8Array[] = []): void {
    this.#socket.send({ t: 'tell', method, params }, body);
    if (this.#socket.backlog > LONGEST_BACKLOG) this.close('it does not read what it is sent');
  }

  close(reason: string): void {
    this.#socket.end(reason);
  }

  #heard(said: FromClient, body: Buffer): void {
    if (said.t === 'join') {
      if (said.protocol !== WORK_PROTOCOL) {
        const text = `it speaks protocol ${said.protocol}, this node ${WORK_PROTOCOL}: install the Python package and the npm package of one version`;
        this.refuse(new TwinkleError('PROTOCOL', text));
        return;
      }
      this.#hello = said;
      this.#joined.resolve(said);
      return;
    }
    const handlers = this.#handlers;
    if (handlers === null) {
      this.close('it spoke before it had joined');
      return;
    }
    if (said.t === 'withdraw-ask') {
      this.#open.get(said.id)?.abort();
    } else if (said.t === 'tell') {
      handlers.tell(said.method, (said.params ?? {}) as Record<string, unknown>, body);
    } else {
      this.#answer(said, body, handlers);
    }
  }

  #answer({ id, method, params }: Ask, body: Buffer, handlers: ClientHandlers): void {
    const withdrawn = new AbortController();
    const reply = (value: unknown): void => {
      this.#open.delete(id);
      if (value instanceof WithBody) this.#socket.send({ t: 'answer', id, value: value.value }, value.body);
      else this.#socket.send({ t: 'answer', id, value: value ?? null });
    };
    const fail = (error: unknown): void => {
      this.#open.delete(id);
      const known = withdrawn.signal.aborted ? new TwinkleError('ABORTED', `\`${method}\` was withdrawn`) : error;
      this.#refuse(id, asTwinkleError(known));
    };
    try {
      const value = handlers.ask(method, (params ?? {}) as Record<string, unknown>, body, withdrawn.signal);
      if (value instanceof Promise) {
        this.#open.set(id, withdrawn);
        value.then(reply, fail);
      } else reply(value);
    } catch (error) {
      fail(error);
    }
  }

  #refuse(id: number, { code, message, details }: TwinkleError): void {
    this.#socket.send({ t: 'refusal', id, code, message, details });
  }
}
