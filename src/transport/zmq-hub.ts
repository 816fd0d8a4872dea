/**
 * The hub over a ZeroMQ router: ipc in a 0700 folder, or tcp with CURVE. One outbox: a zeromq.js socket refuses the 513th
 * un-awaited send of a tick, and two sends at once are an error. Knows frames, not calls.
 */
import { Context, curveKeyPair, Router } from 'zeromq';
import type { FromRank, ToRank } from '../protocol/frames.js';
import type { CurveCredentials } from '../protocol/launch.js';
import { decodeFrame, encodeFrame } from './codec.js';
import type { Hub, Link } from './link.js';
import { decodeZ85 } from './z85.js';
import { KeyGate } from './zap.js';

export interface ZmqHubOptions {
  /**
   * `ipc:///folder/file`, guarded by the folder's mode, or `tcp://host:port` (`*`: any), which always speaks CURVE and admits only keys
   * that {@link Hub.credentials} gave out.
   */
  readonly address: string;
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
  readonly #curve: Curve | null;
  readonly #keys = new Map<string, Buffer>();
  readonly #links = new Map<string, ZmqLink>();
  readonly #outbox: [Buffer, Buffer][] = [];
  readonly #onBadFrame: ZmqHubOptions['onBadFrame'];
  #sending = false;
  #closed = false;
  readonly #receiving: Promise<void>;

  constructor(router: Router, endpoint: string, curve: Curve | null, onBadFrame: ZmqHubOptions['onBadFrame']) {
    this.#router = router;
    this.#curve = curve;
    this.endpoint = endpoint;
    this.#onBadFrame = onBadFrame;
    this.#receiving = this.#receive();
  }

  credentials(identity: string): CurveCredentials | null {
    if (this.#curve === null) return null;
    const pair = curveKeyPair();
    const key = decodeZ85(pair.publicKey);
    this.#curve.gate.allow(key);
    this.#keys.set(identity, key);
    return { server_key: this.#curve.publicKey, public_key: pair.publicKey, secret_key: pair.secretKey };
  }

  link(identity: string): Link {
    const link = new ZmqLink(this, identity);
    this.#links.set(identity, link);
    return link;
  }

  drop(link: ZmqLink): void {
    const identity = link.identity.toString();
    if (this.#links.get(identity) !== link) return;
    this.#links.delete(identity);
    const key = this.#keys.get(identity);
    this.#keys.delete(identity);
    if (key !== undefined) this.#curve?.gate.revoke(key);
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
      // Deaf from here on: the ranks fall silent and their gangs say so. An unhandled rejection would end the whole process.
      if (!this.#closed) this.#onBadFrame('', error);
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
    await this.#curve?.gate.close();
  }
}

interface Curve {
  readonly publicKey: string;
  readonly gate: KeyGate;
}

/** Bind a hub. Throws the system's error when the address cannot be bound. */
export async function openZmqHub(options: ZmqHubOptions): Promise<Hub> {
  const tcp = options.address.startsWith('tcp://');
  const pair = tcp ? curveKeyPair() : null;
  // With keys a context of our own: a key gate must not meet the sockets of the program that embeds us. Not otherwise: a context
  // has threads and descriptors, and goes only when it is garbage.
  const context = tcp ? new Context() : null;
  const router = new Router({
    ...(context === null ? {} : { context }),
    mandatory: true,
    sendTimeout: 0,
    linger: 0,
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    ...(pair === null ? {} : { curveServer: true, curvePublicKey: pair.publicKey, curveSecretKey: pair.secretKey }),
  });
  let gate: KeyGate | null = null;
  try {
    gate = context === null ? null : await KeyGate.open(context);
    await router.bind(options.address);
  } catch (error) {
    router.close();
    await gate?.close();
    throw error;
  }
  const curve = pair === null || gate === null ? null : { publicKey: pair.publicKey, gate };
  return new ZmqHub(router, router.lastEndpoint ?? options.address, curve, options.onBadFrame);
}
