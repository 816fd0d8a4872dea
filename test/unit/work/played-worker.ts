/** A worker that answers what the test says, over a real socket. */
import { createServer, type Server, type Socket } from 'node:net';
import { Packr } from 'msgpackr';
import type { Invoke, Reply, Value } from '../../../src/protocol/work.js';
import { FramedSocket } from '../../../src/transport/framed-socket.js';
import { decode } from '../../../src/work/portable.js';
import { encode } from '../../../src/work/portable-writer.js';
import { until } from '../actors/played-client.js';

const packr = new Packr({ useRecords: false });

/** A value of a body, and its parts. */
export function packed(value: unknown): { readonly value: Value; readonly parts: Uint8Array[] } {
  const { format, head, buffers } = encode(value, () => null);
  const parts = [head, ...buffers];
  return { value: { f: format, s: parts.map(({ byteLength }) => byteLength), at: '', refs: [] }, parts };
}

/** What a Python exception travels as. */
export function raised(type = 'ValueError', message = 'no'): { readonly value: Value; readonly parts: Uint8Array[] } {
  const report = packr.pack({ type, message, traceback: 'Traceback', where: 'Counter.go', pickled: null });
  return { value: { f: 'error', s: [report.byteLength], at: '', refs: [] }, parts: [report] };
}

export class Invoked {
  constructor(
    readonly frame: Invoke,
    readonly body: Buffer,
    readonly caller: FramedSocket,
  ) {}

  /** Positional arguments. Of a call without references among them. */
  get args(): unknown {
    return (decode(this.frame.args.f, [this.body.subarray(0, this.frame.args.s[0])], () => null) as unknown[])[0];
  }

  reply(value: unknown, over: Partial<Reply> = {}): void {
    this.answer(packed(value), over);
  }

  fail(type?: string, message?: string): void {
    this.answer(raised(type, message));
  }

  answer(
    { value, parts }: { readonly value: Value; readonly parts: readonly Uint8Array[] },
    over: Partial<Reply> = {},
  ): void {
    this.caller.send({ t: 'reply', id: this.frame.id, value, more: false, custody: false, ...over }, parts);
  }

  /** Answer with what the worker has sealed. */
  sealed(at: string, over: Partial<Reply> = {}): void {
    this.answer({ value: { f: 'raw', s: [8192], at, refs: [] }, parts: [] }, over);
  }
}

export class PlayedWorker {
  /** Calls that it has not looked at yet. */
  readonly invoked: Invoked[] = [];
  /** Every other frame. */
  readonly said: Readonly<Record<string, unknown>>[] = [];
  readonly sockets: Socket[] = [];
  readonly #server: Server;

  private constructor(readonly path: string) {
    this.#server = createServer((socket) => {
      this.sockets.push(socket);
      const caller: FramedSocket = new FramedSocket(socket, {
        frame: (head, body) => {
          const said = head as { readonly t: string };
          if (said.t === 'invoke') this.invoked.push(new Invoked(head as Invoke, Buffer.from(body), caller));
          else this.said.push({ ...said });
        },
        end: () => {},
      });
    });
  }

  static async open(path: string): Promise<PlayedWorker> {
    const worker = new PlayedWorker(path);
    await new Promise<void>((resolve) => worker.#server.listen(path, resolve));
    return worker;
  }

  /** The next call. */
  async call(): Promise<Invoked> {
    await until(() => this.invoked.length > 0, 'the worker is called');
    return this.invoked.shift() as Invoked;
  }

  /** The next frame of that kind that is no call. */
  async heard(t: string): Promise<Readonly<Record<string, unknown>>> {
    await until(() => this.said.some((one) => one.t === t), `the worker hears ${t}`);
    return this.said.splice(
      this.said.findIndex((one) => one.t === t),
      1,
    )[0] as Readonly<Record<string, unknown>>;
  }

  /** Its process ends: what it said before is still there to be read. Idempotent. */
  async die(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // what was sent in this turn leaves first
    for (const socket of this.sockets) socket.destroySoon();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
