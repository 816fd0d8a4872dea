/** One process that joined the node service, a driver or a worker: its questions are answered, and it is told things. */
import type { Socket } from 'node:net';
import { asTwinkleError, TwinkleError } from '../errors.js';
import { Ask, Join, type Joined, Tell, WithdrawAsk, WORK_PROTOCOL } from '../protocol/work.js';
import { FramedSocket } from '../transport/framed-socket.js';
import { deferred } from '../util/deferred.js';
import { type Client, WithBody } from './client.js';
import { shaped } from './shape.js';

export { WithBody } from './client.js';

export interface ClientHandlers {
  /** Its value, or what it resolves to, is the answer; {@link WithBody} carries bytes. Thrown errors are the refusal. */
  ask(method: string, params: unknown, body: Buffer, signal: AbortSignal): unknown;
  /** What it throws ends the connection. */
  tell(method: string, params: unknown, body: Buffer): void;
  /** Once. Must not throw. */
  gone(reason: string): void;
}

/** A longer backlog than that is a client that does not read: it is cut off, or it would fill the memory. */
const LONGEST_BACKLOG = 256 * 1024 * 1024;

export class ClientPeer implements Client {
  readonly id: number;
  readonly node: string;
  readonly #socket: FramedSocket;
  /** Questions that have no answer yet. */
  readonly #open = new Map<number, AbortController>();
  readonly #joined = deferred<Join>();
  #hello: Join | null = null;
  #handlers: ClientHandlers | null = null;

  /** @param id never given to another */
  constructor(socket: Socket, id: number, node: string) {
    this.id = id;
    this.node = node;
    this.#joined.promise.catch(() => {}); // whoever waits for it sees it
    this.#socket = new FramedSocket(socket, {
      frame: (head, body) => this.#heard(head, body),
      end: (reason) => {
        const open = [...this.#open.values()];
        this.#open.clear();
        for (const withdrawn of open) withdrawn.abort();
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
    try {
      this.#socket.send({ t: 'tell', method, params }, body);
    } catch (error) {
      this.close(`\`${method}\` cannot be told: ${String(error)}`);
    }
    this.#mindBacklog();
  }

  close(reason: string): void {
    this.#socket.end(reason);
  }

  #heard(head: unknown, body: Buffer): void {
    const kind = (head as { readonly t?: unknown } | null)?.t;
    const handlers = this.#handlers;
    if (kind === 'join') this.#join(head);
    else if (handlers === null) this.close('it spoke before it had joined');
    else if (kind === 'ask') this.#answer(shaped(Ask, head, 'ask'), body, handlers);
    else if (kind === 'tell') {
      const { method, params } = shaped(Tell, head, 'tell');
      handlers.tell(method, params ?? {}, body);
    } else if (kind === 'withdraw-ask') this.#open.get(shaped(WithdrawAsk, head, 'withdraw-ask').id)?.abort();
    else this.close(`a frame of kind ${String(kind)}, which means nothing here`);
  }

  #join(head: unknown): void {
    if (this.#hello !== null) {
      this.close('it joined twice');
      return;
    }
    try {
      const { protocol } = head as Partial<Join>; // before all else: the rest of another version may look otherwise
      if (protocol !== WORK_PROTOCOL) {
        const text = `it speaks protocol ${protocol}, this node ${WORK_PROTOCOL}: install the Python package and the npm package of one version`;
        throw new TwinkleError('PROTOCOL', text);
      }
      const hello = shaped(Join, head, 'join');
      this.#hello = hello;
      this.#joined.resolve(hello);
    } catch (error) {
      this.refuse(asTwinkleError(error));
    }
  }

  #answer({ id, method, params }: Ask, body: Buffer, handlers: ClientHandlers): void {
    if (this.#open.has(id)) {
      this.close(`it asked two questions with the number ${id}`);
      return;
    }
    const withdrawn = new AbortController();
    this.#open.set(id, withdrawn);
    const fail = (error: unknown): void => {
      this.#open.delete(id);
      const known = withdrawn.signal.aborted ? new TwinkleError('ABORTED', `\`${method}\` was withdrawn`) : error;
      this.#refuse(id, asTwinkleError(known));
    };
    const reply = (value: unknown): void => {
      try {
        if (value instanceof WithBody) this.#socket.send({ t: 'answer', id, value: value.value }, value.body);
        else this.#socket.send({ t: 'answer', id, value: value ?? null });
        this.#open.delete(id);
      } catch (error) {
        fail(error);
      }
      this.#mindBacklog();
    };
    try {
      const value = handlers.ask(method, params ?? {}, body, withdrawn.signal);
      if (value instanceof Promise) value.then(reply, fail);
      else reply(value);
    } catch (error) {
      fail(error);
    }
  }

  #refuse(id: number, { code, message, details }: TwinkleError): void {
    this.#socket.send({ t: 'refusal', id, code, message, details });
  }

  #mindBacklog(): void {
    if (this.#socket.backlog > LONGEST_BACKLOG) this.#socket.cut('it does not read what it is sent');
  }
}
