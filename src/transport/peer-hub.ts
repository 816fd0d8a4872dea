/**
 * Where peers connect: a ZeroMQ router, ipc in a 0700 folder or tcp with CURVE. A routing id is one connection, made by libzmq, so nobody
 * can speak under another's. Owns who is connected; what they talk about is the handlers' business. A hub keeps its process alive until
 * closed.
 */
import { randomUUID } from 'node:crypto';
import { Context, capability, Router } from 'zeromq';
import { asTwinkleError, TwinkleError } from '../errors.js';
import { Emitter } from '../util/emitter.js';
import { isIpcInUse } from './ipc-in-use.js';
import { Peer, type PeerHandlers, type PeerWire } from './peer.js';
import {
  decodePeerFrame,
  encodePeerFrame,
  type Hello,
  looksLikeHello,
  MAX_MESSAGE_BYTES,
  PEER_PROTOCOL,
  type PeerFrame,
} from './peer-frames.js';
import { decodeZ85 } from './z85.js';
import { KeyGate } from './zap.js';

export interface PeerHubOptions {
  /** `ipc:///folder/file`, guarded by the folder's mode, or `tcp://host:port` (port `*`: any), which needs `curve`. */
  readonly address: string;
  /** Who may join: the body of the welcome, or a promise of it. What it throws is the refusal, with its code and message. */
  accept(hello: Hello): unknown;
  /** Who answers that peer; called before {@link onPeer}. */
  handlers(peer: Peer): PeerHandlers;
  /** A peer was welcomed. What is cast here follows the welcome. */
  onPeer(peer: Peer): void;
  /** Nothing was heard of it for `silentMs`; told once per silence. It stays connected: the caller decides. */
  onSilent?(peer: Peer): void;
  /** The server's key pair in Z85, and the public keys that may connect. */
  readonly curve?: { readonly publicKey: string; readonly secretKey: string; readonly clients: readonly string[] };
  /** Between beats, in ms; default 500. */
  readonly pingMs?: number;
  /** Silence that is reported, in ms; default 2000. */
  readonly silentMs?: number;
}

/** `ZMQ_ROUTER_NOTIFY` and its bit for disconnects: a draft option, in zeromq.js' own builds, that zeromq.js has no name for. */
const ROUTER_NOTIFY = 97;
const NOTIFY_DISCONNECT = 2;
/** Messages that may wait for one peer: one that does not read is cut off, or it would fill the memory. */
const LONGEST_QUEUE = 65_536;
/** Longest hello in bytes: it is decoded before anybody said who it is. */
const LONGEST_HELLO = 8 * 1024 * 1024;
/** A bye may take so long to reach the kernel. */
const LINGER_MS = 200;

/** Says at once, by an empty message, that a connection has ended; without the draft option the pings find out. */
class NotifyingRouter extends Router {
  notify(): void {
    if (capability.draft === true) this.setInt32Option(ROUTER_NOTIFY, NOTIFY_DISCONNECT);
  }
}

/** Open with {@link openPeerHub}. */
export class PeerHub implements AsyncDisposable, PeerWire {
  /** What clients connect to. */
  readonly endpoint: string;
  /** Messages dropped because they came from a connection that has not been welcomed. */
  strangers = 0;
  readonly #router: Router;
  readonly #options: PeerHubOptions;
  readonly #gate: KeyGate | null;
  readonly #head = randomUUID();
  readonly #bySession = new Map<string, Peer>();
  readonly #byRoute = new Map<string, Peer>();
  readonly #routes = new Map<Peer, Buffer>();
  /** Routes whose hello is being decided. */
  readonly #deciding = new Set<string>();
  readonly #receiving: Promise<void>;
  readonly #timer: NodeJS.Timeout;
  readonly #silentTicks: number;
  /** What the owner throws must not end the loop that reads. */
  readonly #events = new Emitter<{ peer(peer: Peer): void }>();
  #closed = false;

  constructor(router: Router, endpoint: string, options: PeerHubOptions, gate: KeyGate | null) {
    this.#router = router;
    this.endpoint = endpoint;
    this.#options = options;
    this.#gate = gate;
    this.#events.on('peer', (peer) => {
      peer.serve(options.handlers(peer));
      options.onPeer(peer);
    });
    const pingMs = options.pingMs ?? 500;
    this.#silentTicks = Math.max(1, Math.ceil((options.silentMs ?? 2000) / pingMs));
    this.#timer = setInterval(() => this.#tick(), pingMs);
    this.#receiving = this.#receive();
  }

  /** Those that are connected now, by session. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#bySession;
  }

  /** Let the holder of that public key (Z85) connect from now on. Only for hubs with `curve`. */
  allow(publicKey: string): void {
    this.#gate?.allow(decodeZ85(publicKey));
  }

  /** Let nobody connect with that key any more. A connection that it made goes on until closed. */
  revoke(publicKey: string): void {
    this.#gate?.revoke(decodeZ85(publicKey));
  }

  /** For {@link Peer}. */
  post(peer: Peer, parts: Buffer[]): void {
    const route = this.#routes.get(peer);
    if (route === undefined) return;
    this.#send(route, parts, (code) => {
      const reason = code === 'EAGAIN' ? 'it does not read what it is sent' : 'its connection ended';
      peer.end({ cause: 'gone', reason });
    });
  }

  /** For {@link Peer}. */
  ended(peer: Peer): void {
    const route = this.#routes.get(peer);
    this.#routes.delete(peer);
    if (route !== undefined) this.#byRoute.delete(keyOf(route));
    if (this.#bySession.get(peer.session) === peer) this.#bySession.delete(peer.session);
  }

  /** Take leave of everybody. Idempotent; resolves when the socket is closed. */
  async close(reason = 'the head is stopping'): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      clearInterval(this.#timer);
      for (const peer of [...this.#routes.keys()]) peer.close(reason);
      this.#router.linger = LINGER_MS;
      this.#router.close();
    }
    await this.#receiving;
    await this.#gate?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** With a send timeout of 0 zeromq.js sends inside the call, however many are open: there is nothing to await but the refusal. */
  #send(route: Buffer, parts: Buffer[], failed: (code: string) => void): void {
    if (this.#router.closed) return;
    this.#router.send([route, ...parts]).catch((error: NodeJS.ErrnoException) => failed(error.code ?? ''));
  }

  async #receive(): Promise<void> {
    try {
      for await (const parts of this.#router) this.#dispatch(parts);
    } catch (error) {
      if (this.#closed) return;
      // Deaf from here on: better to be seen as gone than to be taken for silent peers.
      void this.close(`the head lost its socket: ${String(error)}`);
    }
  }

  #dispatch(parts: Buffer[]): void {
    const [route, first] = parts;
    if (this.#closed || route === undefined || first === undefined) return;
    const peer = this.#byRoute.get(keyOf(route));
    if (parts.length === 2 && first.length === 0) this.#gone(route, peer);
    else if (peer !== undefined) peer.take(parts, 1);
    else this.#stranger(route, first);
  }

  #gone(route: Buffer, peer: Peer | undefined): void {
    this.#deciding.delete(keyOf(route));
    peer?.end({ cause: 'gone', reason: 'its connection ended' });
  }

  #stranger(route: Buffer, first: Buffer): void {
    const hello = first.length <= LONGEST_HELLO && looksLikeHello(first) ? readHello(first) : null;
    if (hello === null || this.#deciding.has(keyOf(route))) {
      this.strangers += 1;
      return;
    }
    let body: unknown;
    try {
      assertVersion(hello);
      body = this.#options.accept(hello);
    } catch (error) {
      this.#refuse(route, error);
      return;
    }
    if (body instanceof Promise) this.#decideLater(route, hello, body);
    else this.#welcome(route, hello, body);
  }

  #decideLater(route: Buffer, hello: Hello, body: Promise<unknown>): void {
    const key = keyOf(route);
    this.#deciding.add(key);
    // Not when its connection ended meanwhile: it may have connected again, and this would replace that.
    const open = (): boolean => this.#deciding.delete(key) && !this.#closed;
    body.then(
      (value) => open() && this.#welcome(route, hello, value),
      (error) => open() && this.#refuse(route, error),
    );
  }

  #welcome(route: Buffer, hello: Hello, body: unknown): void {
    let welcome: Buffer;
    try {
      welcome = encodePeerFrame({ t: 'welcome', protocol: PEER_PROTOCOL, head: this.#head, body });
    } catch (error) {
      this.#refuse(route, error);
      return;
    }
    this.#bySession.get(hello.session)?.leave({ cause: 'replaced', reason: 'its session connected again' });
    const peer = new Peer({ hello, wire: this, lostCode: 'CHANNEL_CLOSED' });
    this.#bySession.set(hello.session, peer);
    this.#byRoute.set(keyOf(route), peer);
    this.#routes.set(peer, route);
    this.post(peer, [welcome]);
    this.#events.emit('peer', peer);
  }

  #refuse(route: Buffer, thrown: unknown): void {
    const { code, message } = asTwinkleError(thrown);
    const refusal: PeerFrame = { t: 'refuse', code, reason: message };
    this.#send(route, [encodePeerFrame(refusal)], () => {});
  }

  #tick(): void {
    for (const peer of this.#routes.keys()) {
      peer.tick(false);
      if (peer.quietTicks === this.#silentTicks) this.#options.onSilent?.(peer);
    }
  }
}

function keyOf(route: Buffer): string {
  return route.toString('latin1');
}

function readHello(bytes: Buffer): Hello | null {
  try {
    const frame = decodePeerFrame(bytes);
    return frame.t === 'hello' ? frame : null;
  } catch {
    return null;
  }
}

function assertVersion({ protocol }: Hello): void {
  if (protocol === PEER_PROTOCOL) return;
  const versions = `this head speaks version ${PEER_PROTOCOL} of the peer protocol, you speak ${protocol}`;
  throw new TwinkleError('PROTOCOL', `${versions}: install the same release of twinkle-node on both sides`);
}

/**
 * Bind a hub.
 * @throws `PORT_IN_USE` when somebody listens at the ipc address (libzmq would take it away from them); `CONFIG_INVALID` for tcp without
 * keys; otherwise the system's error
 */
export async function openPeerHub(options: PeerHubOptions): Promise<PeerHub> {
  const { address, curve } = options;
  if (address.startsWith('tcp:') && curve === undefined) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected keys for \`${address}\` but received none: tcp always speaks CURVE`,
    );
  }
  if (await isIpcInUse(address)) {
    throw new TwinkleError('PORT_IN_USE', `another head listens at \`${address}\`: stop it, or use another folder`);
  }
  const context = curve === undefined ? null : new Context();
  const router = new NotifyingRouter({
    ...(context === null ? {} : { context }),
    mandatory: true,
    sendTimeout: 0,
    linger: 0,
    sendHighWaterMark: LONGEST_QUEUE,
    maxMessageSize: MAX_MESSAGE_BYTES,
    ...(curve === undefined
      ? {}
      : { curveServer: true, curvePublicKey: curve.publicKey, curveSecretKey: curve.secretKey }),
  });
  let gate: KeyGate | null = null;
  try {
    router.notify();
    gate = context === null ? null : await KeyGate.open(context);
    for (const client of curve?.clients ?? []) gate?.allow(decodeZ85(client));
    await router.bind(address);
  } catch (error) {
    router.close();
    await gate?.close();
    throw error;
  }
  return new PeerHub(router, router.lastEndpoint ?? address, options, gate);
}
