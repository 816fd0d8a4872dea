/** The connection with one life of a worker: calls that were sent, and their replies. */
import { connect } from 'node:net';
import { TwinkleError } from '../errors.js';
import type { Kept, Reply, Value } from '../protocol/work.js';
import { WORK_PROTOCOL } from '../protocol/work.js';
import { FramedSocket } from '../transport/framed-socket.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { stayAwake } from './awake.js';
import type { Call } from './call.js';
import type { Link } from './link.js';
import type { Objects } from './objects.js';
import type { Stored } from './refs.js';
import { travels } from './travelling.js';

export interface WorkerLineOptions {
  /** Socket of the worker. */
  readonly path: string;
  readonly instance: string;
  /** Number of this client. */
  readonly client: number;
  readonly link: Link;
  readonly objects: Objects;
}

export interface WorkerLineEvents {
  /** The result of a call has come. */
  over(call: Call, stored: Stored): void;
  /** Once. `broken`: not the worker, but this process ended it, or could not make it: why. */
  ended(broken: string | null): void;
}

/** A worker that is said to have ended closes its connection by then, when all that it said has been read. */
const LINGER_MS = 2000;
/** What this process lacks, rather than the worker. */
const OWN_FAULT = /\b(EMFILE|ENFILE|ENOMEM|ENOBUFS)\b/;

export class WorkerLine {
  /** Sent, without a result yet. */
  readonly calls = new Map<number, Call>();
  readonly #options: WorkerLineOptions;
  readonly #events: WorkerLineEvents;
  readonly #socket: FramedSocket;
  readonly #closed: Deferred<void> = deferred();
  #next = 0;

  constructor(options: WorkerLineOptions, events: WorkerLineEvents) {
    this.#options = options;
    this.#events = events;
    const { path, instance, client } = options;
    this.#socket = new FramedSocket(connect(path), {
      frame: (head, body) => this.#heard(head as Reply, body),
      end: (reason) => {
        this.#closed.resolve();
        this.#events.ended(OWN_FAULT.test(reason) ? reason : null);
      },
    });
    this.#socket.send({ t: 'dial', protocol: WORK_PROTOCOL, instance, client, portable: true });
  }

  get ended(): boolean {
    return this.#socket.ended;
  }

  /** Send a call that is ready. Throws `INVALID_REQUEST`: more than a frame can carry. */
  send(call: Call): void {
    const { args, shape, slot } = call;
    if (args === null || args instanceof Error) throw new Error('a call without arguments');
    const given: Value[] = [];
    const parts = [...args.parts];
    for (const { stored } of call.given) {
      if (stored === null) continue;
      const one = travels(stored);
      given.push(one.value);
      parts.push(...one.parts);
    }
    const number = this.#next++;
    const { target, group, returns } = shape;
    const invoke = { t: 'invoke', id: number, ref: slot.id, target, args: args.value, given, group };
    this.#socket.send(returns === null ? invoke : { ...invoke, returns }, parts);
    call.number = number;
    call.seen = 0;
    call.since = Date.now();
    this.calls.set(number, call);
    stayAwake();
  }

  /** Cancel a call that has not begun, or a coroutine that runs. */
  withdraw(call: Call): void {
    this.#socket.send({ t: 'withdraw', id: call.number });
  }

  /** The worker has ended: resolves when all that it said before has been heard. */
  async drained(): Promise<void> {
    const late = setTimeout(() => this.close(), LINGER_MS);
    await this.#closed.promise;
    clearTimeout(late);
  }

  close(): void {
    this.#socket.end('closed by the caller');
  }

  #heard(reply: Reply, received: Buffer): void {
    const { objects, link } = this.#options;
    const { id, value, more } = reply;
    const call = this.calls.get(id);
    if (!more) this.calls.delete(id);
    // The worker holds what is inside until this process does.
    const keep = value.refs.map((one) => objects.borrow(one, true).id);
    if (keep.length > 0) {
      const kept: Kept = { t: 'kept', id };
      const answer = (): void => this.#socket.send(kept);
      link.ask('object.hold', { ids: [...value.refs] }).then(answer, answer);
    }
    const stored: Stored = { value, body: new Uint8Array(received), keep };
    if (call !== undefined && !more) {
      const stray = call.shape.items === null && call.seen > 0 && value.f !== 'error';
      this.#events.over(call, stray ? { error: yields(call.shape.where) } : stored);
      return;
    }
    if (call !== undefined) call.seen += 1;
    if (call?.shape.items != null && call.seen > call.taken) {
      call.taken = call.seen; // else a try of before gave it
      call.shape.items(stored);
      return;
    }
    objects.release(keep);
    if (value.at !== '') objects.release([objects.borrow(value.at, true).id]); // nobody wants what the worker has sealed
  }
}

function yields(where: string): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', `${where} is a generator: take its items with stream()`);
}
