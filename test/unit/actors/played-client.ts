/** A client of a node service that says what the test says, over a real socket. */
import type { Socket } from 'node:net';
import type { Demand, Join, Value } from '../../../src/protocol/work.js';
import { WORK_PROTOCOL } from '../../../src/protocol/work.js';
import { FramedSocket } from '../../../src/transport/framed-socket.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';

const PATIENCE_MS = 5000;

/** Resolves when that holds. Looked at in every turn of the loop. */
export async function until(holds: () => boolean, what = String(holds)): Promise<void> {
  const late = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > late) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface Answered {
  readonly value: unknown;
  readonly body: Buffer;
}

interface Told {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

type Heard = { t: string; id: number; value: unknown; method: string; params: Told['params']; client: number };

export class PlayedClient {
  readonly ended = deferred<string>();
  readonly joined = deferred<number>();
  /** What it was told and has not looked at yet. */
  readonly told: Told[] = [];
  id = -1;
  readonly #socket: FramedSocket;
  readonly #open = new Map<number, Deferred<Answered>>();
  #next = 1;

  constructor(readonly raw: Socket) {
    this.ended.promise.catch(() => {});
    this.joined.promise.catch(() => {});
    this.#socket = new FramedSocket(raw, {
      frame: (head, body) => this.#heard(head as Heard, Buffer.from(body)),
      end: (reason) => {
        for (const open of this.#open.values()) open.reject(new Error(`the connection ended: ${reason}`));
        this.ended.resolve(reason);
      },
    });
  }

  async join(hello: Partial<Join> = {}): Promise<void> {
    this.send({
      ...{ t: 'join', protocol: WORK_PROTOCOL, kind: 'driver', pid: 1, path: '', python: '/py', sys_path: [] },
      ...{ cwd: '/', namespace: 'default', ...hello },
    });
    this.id = await this.joined.promise;
  }

  send(head: object, body: readonly Uint8Array[] = []): void {
    this.#socket.send(head, body);
  }

  /** Ask; `number` is what `withdraw` wants. Refusals reject with their frame. */
  ask(
    method: string,
    params: unknown = {},
    body: readonly Uint8Array[] = [],
    number = this.#next++,
  ): Promise<Answered> {
    const open = deferred<Answered>();
    open.promise.catch(() => {});
    this.#open.set(number, open);
    this.send({ t: 'ask', id: number, method, params }, body);
    return open.promise;
  }

  withdraw(number: number): void {
    this.send({ t: 'withdraw-ask', id: number });
  }

  tell(method: string, params: unknown = {}, body: readonly Uint8Array[] = []): void {
    this.send({ t: 'tell', method, params }, body);
  }

  /** Everything that was said before has been heard. */
  async sync(): Promise<void> {
    await this.ask('actor.names', { namespace: null });
  }

  /** The next word of that kind. */
  async hear(method: string): Promise<Told> {
    await until(() => this.told.some((one) => one.method === method), `client ${this.id} hears ${method}`);
    const at = this.told.findIndex((one) => one.method === method);
    return this.told.splice(at, 1)[0] as Told;
  }

  /** The next state of an actor that is watched. */
  async hearState(): Promise<unknown> {
    return (await this.hear('actor')).params.state;
  }

  leave(): void {
    this.#socket.end('it leaves');
  }

  #heard(said: Heard, body: Buffer): void {
    const open = this.#open.get(said.id);
    if (said.t === 'joined') this.joined.resolve(said.client);
    else if (said.t === 'tell') this.told.push({ method: said.method, params: said.params, body });
    else if (said.t === 'answer') open?.resolve({ value: said.value, body });
    else if (said.id < 0) this.joined.reject(said);
    else open?.reject(said);
    if (said.t !== 'tell') this.#open.delete(said.id);
  }
}

/** A refusal of that code. */
export const refusal = (code: string, message = /./) => ({
  code,
  message: { asymmetricMatch: (text: string) => message.test(text), toString: () => String(message) },
});

export function demandOf(resources: Record<string, number> = { CPU: 1 }, more: Partial<Demand> = {}): Demand {
  return { resources, strategy: 'default', node: '', soft: false, selectors: {}, group: null, env: {}, ...more };
}

/** A value of that many bytes in the body. */
export function inline(bytes: number, refs: string[] = []): Value {
  return { f: 'raw', s: [bytes], at: '', refs };
}
