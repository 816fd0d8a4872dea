/**
 * The hub over a ZeroMQ router: ipc in a 0700 folder, or tcp with CURVE. One outbox: a zeromq.js socket refuses the 513th
 * un-awaited send of a tick, and two sends at once are an error. Knows frames, not calls.
 */
import { Router } from 'zeromq';
import type { FromRank, ToRank } from '../protocol/frames.js';
import { decodeFrame, encodeFrame } from './codec.js';
import type { Hub, Link } from './link.js';

/** CURVE key pairs, Z85 text as `zeromq.curveKeyPair()` gives them. */
export interface CurveKeys {
  readonly publicKey: string;
  readonly secretKey: string;
}

export interface ZmqHubOptions {
  /** `ipc:///folder/file` or `tcp://host:*`. tcp beyond loopback must come with `curve`. */
  readonly address: string;
  readonly curve: CurveKeys | null;
  /** Told about frames that broke the contract. */
  readonly onBadFrame: (identity: string, error: unknown) => void;
}

class ZmqLink implements Link {
  readonly identity: Buffer;
  #listener: ((frame: FromRank) => void) | null = null;
  readonly #early: FromRank[] = [];
  readonly #hub: ZmqHub;

  constructor(hub: ZmqHub, identity: string) {
    this.#hub = hub;
    this.identity = Buffer.from(identity);
  }

  send(frame: ToRank): void {
    this.#hub.post(this, frame);
  }

  receive(listener: (frame: FromRank) => void): void {
    this.#listener = listener;
    for (const frame of this.#early.splice(0)) listener(frame);
  }

  take(frame: FromRank): void {
    if (this.#listener === null) this.#early.push(frame);
    else this.#listener(frame);
  }

  close(): void {
    this.#hub.drop(this);
  }
}

/** Bind with {@link openZmqHub}. */
class ZmqHub implements Hub {
  readonly endpoint: string;
  strangers = 0;
  readonly #router: Router;
  readonly #links = new Map<string, ZmqLink>();
  readonly #outbox: [Buffer, Buffer][] = [];
  readonly #onBadFrame: ZmqHubOptions['onBadFrame'];
  #sending = false;
  #closed = false;
  readonly #receiving: Promise<void>;

  constructor(router: Router, endpoint: string, onBadFrame: ZmqHubOptions['onBadFrame']) {
    this.#router = router;
    this.endpoint = endpoint;
    this.#onBadFrame = onBadFrame;
    this.#receiving = this.#receive();
  }

  link(identity: string): Link {
    const link = new ZmqLink(this, identity);
    this.#links.set(identity, link);
    return link;
  }

  drop(link: ZmqLink): void {
    const identity = link.identity.toString();
    if (this.#links.get(identity) === link) this.#links.delete(identity);
  }

  post(link: ZmqLink, frame: ToRank): void {
    if (this.#closed || this.#links.get(link.identity.toString()) !== link) return;
    this.#outbox.push([link.identity, encodeFrame(frame)]);
    if (!this.#sending) void this.#flush();
  }

  async #flush(): Promise<void> {
    this.#sending = true;
    for (let next = this.#outbox.shift(); next !== undefined && !this.#closed; next = this.#outbox.shift()) {
      try {
        await this.#router.send(next);
      } catch {
        // EHOSTUNREACH: that rank is gone. Its gang hears so from the process, which is the truth; nothing to do here.
      }
    }
    this.#sending = false;
  }

  async #receive(): Promise<void> {
    try {
      for await (const [identity, body] of this.#router) {
        if (identity === undefined || body === undefined) continue;
        this.#dispatch(identity.toString(), body);
      }
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  #dispatch(identity: string, body: Buffer): void {
    const link = this.#links.get(identity);
    if (link === undefined) {
      this.strangers += 1;
      return;
    }
    try {
      link.take(decodeFrame(body));
    } catch (error) {
      this.#onBadFrame(identity, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#links.clear();
    this.#outbox.length = 0;
    this.#router.close();
    await this.#receiving;
  }
}

/** Bind a hub. Throws the system's error when the address cannot be bound. */
export async function openZmqHub(options: ZmqHubOptions): Promise<Hub> {
  const router = new Router({
    mandatory: true,
    sendTimeout: 0,
    linger: 0,
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    ...(options.curve === null
      ? {}
      : { curveServer: true, curvePublicKey: options.curve.publicKey, curveSecretKey: options.curve.secretKey }),
  });
  try {
    await router.bind(options.address);
  } catch (error) {
    router.close();
    throw error;
  }
  return new ZmqHub(router, router.lastEndpoint ?? options.address, options.onBadFrame);
}
