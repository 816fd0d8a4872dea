/**
 * One attempt of a client: one dealer socket, from connecting to the end of its connection. A socket is never used for a second one, so
 * nothing of an old connection can be taken for the new. Knows nothing of trying again.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Dealer } from 'zeromq';
import { TwinkleError } from '../errors.js';
import { Peer, type PeerClose, type PeerHandlers, type PeerWire } from './peer.js';
import {
  decodePeerFrame,
  encodePeerFrame,
  errorOf,
  type Hello,
  MAX_MESSAGE_BYTES,
  PEER_PROTOCOL,
  type Welcome,
} from './peer-frames.js';

/** Keys of a client, in Z85. */
export interface PeerCurve {
  readonly serverKey: string;
  readonly publicKey: string;
  readonly secretKey: string;
}

export interface DialOptions {
  readonly address: string;
  readonly curve: PeerCurve | null;
  /** Made anew when a connection stands. */
  hello(): Hello;
  handlers: PeerHandlers;
  /** The head answered: from here on the peer can be used. */
  welcomed(welcome: Welcome): void;
  /** It is over, told once; `refusal` when the head said no. Nothing comes after it. */
  over(close: PeerClose, refusal: TwinkleError | null): void;
}

/** libzmq tries again after the first, later after up to the second, in ms: a head that comes back is found about so fast. */
const RETRY_MS = 20;
const LONGEST_RETRY_MS = 160;
const LONGEST_QUEUE = 65_536;
/** A bye may take so long to reach the kernel. */
const LINGER_MS = 200;

export class Dial implements PeerWire {
  /** How far it got, for people. */
  stage = 'nobody listens there';
  readonly #dealer: Dealer;
  readonly #options: DialOptions;
  readonly #receiving: Promise<void>;
  #peer: Peer | null = null;
  #welcomed = false;
  #ticksWithoutWelcome = 0;
  #over = false;

  /** @throws `CONFIG_INVALID` for an address or a key that ZeroMQ cannot read */
  constructor(options: DialOptions) {
    this.#options = options;
    const { curve } = options;
    try {
      this.#dealer = new Dealer({
        immediate: true,
        sendTimeout: 0,
        linger: 0,
        sendHighWaterMark: LONGEST_QUEUE,
        maxMessageSize: MAX_MESSAGE_BYTES,
        reconnectInterval: RETRY_MS,
        reconnectMaxInterval: LONGEST_RETRY_MS,
        ...(curve === null
          ? {}
          : { curveServerKey: curve.serverKey, curvePublicKey: curve.publicKey, curveSecretKey: curve.secretKey }),
      });
    } catch (error) {
      throw new TwinkleError('CONFIG_INVALID', `the keys for \`${options.address}\` are not valid`, { cause: error });
    }
    this.#watch();
    try {
      this.#dealer.connect(options.address);
    } catch (error) {
      this.#dealer.close();
      const expected = 'expected `ipc:///folder/file` or `tcp://host:port`';
      throw new TwinkleError('CONFIG_INVALID', `${expected} but received \`${options.address}\``, { cause: error });
    }
    this.#receiving = this.#receive();
  }

  /** The peer once it was welcomed, until it is over. */
  get peer(): Peer | null {
    return this.#welcomed && !this.#over ? this.#peer : null;
  }

  /** When the head was last heard on this connection, also when it is over; null: it has not welcomed us. */
  get lastHeardMs(): number | null {
    return this.#welcomed ? (this.#peer?.lastHeardMs ?? null) : null;
  }

  /** Once per interval; ends the attempt after `silentTicks` without a word of the head. */
  tick(silentTicks: number): void {
    const peer = this.#peer;
    if (peer === null) return;
    if (this.#welcomed) peer.tick(true);
    else this.#ticksWithoutWelcome += 1;
    if (Math.max(peer.quietTicks, this.#ticksWithoutWelcome) < silentTicks) return;
    peer.end({ cause: 'silent', reason: 'the head is connected but says nothing' });
  }

  /** Say bye if anybody listens, and close. Resolves when the socket is closed. */
  async close(reason: string): Promise<void> {
    if (this.#welcomed) this.#peer?.close(reason);
    this.#end({ cause: 'closed', reason }, null);
    await this.#receiving;
  }

  /** For {@link Peer}. */
  post(peer: Peer, parts: Buffer[]): void {
    if (this.#dealer.closed) return;
    this.#dealer.send(parts).catch(() => peer.end({ cause: 'gone', reason: 'the head does not read what it is sent' }));
  }

  /** For {@link Peer}. */
  ended(_peer: Peer, close: PeerClose): void {
    this.#end(close, null);
  }

  #end(close: PeerClose, refusal: TwinkleError | null): void {
    if (this.#over) return;
    this.#over = true;
    if (close.cause === 'closed' || close.cause === 'protocol') this.#dealer.linger = LINGER_MS;
    this.#dealer.close();
    this.#peer?.end(close);
    this.#options.over(close, refusal);
  }

  #watch(): void {
    const { events } = this.#dealer;
    events.on('handshake', () => this.#greet());
    events.on('disconnect', () => this.#lost('its end of the socket closed'));
    events.on('handshake:error:auth', () => this.#lost('the head does not admit our key'));
    events.on('handshake:error:protocol', () =>
      this.#lost('what answers there does not speak our protocol, or with other keys'),
    );
    events.on('handshake:error:other', () => this.#lost('the head broke the handshake off'));
  }

  #lost(reason: string): void {
    this.#end({ cause: 'gone', reason }, null);
  }

  #greet(): void {
    if (this.#over) return;
    this.stage = 'a head is connected but does not answer';
    try {
      const hello = this.#options.hello();
      const bytes = encodePeerFrame(hello);
      this.#peer = new Peer({ hello, wire: this, lostCode: 'HEAD_UNREACHABLE' });
      this.#peer.serve(this.#options.handlers);
      this.post(this.#peer, [bytes]);
    } catch (error) {
      this.#end({ cause: 'closed', reason: `the hello could not be made: ${String(error)}` }, null);
    }
  }

  async #receive(): Promise<void> {
    try {
      for await (const parts of this.#dealer) {
        if (this.#over) continue;
        if (this.#welcomed) {
          this.#peer?.take(parts, 0);
          continue;
        }
        this.#answered(parts);
        // Whoever awaits the connection must hold it before the first frame comes.
        await nextTurn();
      }
    } catch (error) {
      this.#lost(`the socket failed: ${String(error)}`);
    }
  }

  /** The first message: a welcome or a refusal, alone. */
  #answered(parts: Buffer[]): void {
    const peer = this.#peer;
    const [first] = parts;
    if (peer === null || first === undefined) return;
    try {
      const frame = decodePeerFrame(first);
      if (frame.t === 'refuse') {
        this.#end({ cause: 'bye', reason: frame.reason }, errorOf(frame.code, frame.reason));
        return;
      }
      if (frame.t !== 'welcome') throw new TwinkleError('PROTOCOL', `expected a welcome but received \`${frame.t}\``);
      if (frame.protocol !== PEER_PROTOCOL) {
        throw new TwinkleError('PROTOCOL', `the head speaks version ${frame.protocol}, this process ${PEER_PROTOCOL}`);
      }
      this.#welcomed = true;
      this.#options.welcomed(frame);
    } catch (error) {
      this.#end({ cause: 'protocol', reason: error instanceof Error ? error.message : String(error) }, null);
    }
  }
}
