/** One rank of one epoch: its process, its two links and its channel. Knows nothing of restarts. */
import { randomBytes } from 'node:crypto';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { Beat, FromRank, Phase } from '../protocol/frames.js';
import { PROTOCOL_VERSION } from '../protocol/version.js';
import { Channel } from '../transport/channel.js';
import type { Hub, Link } from '../transport/link.js';
import { deferred } from '../util/deferred.js';
import type { ProcessEnd, RunningRank } from './launcher.js';

export interface SessionEvents {
  hello(): void;
  phase(phase: Phase): void;
  beat(beat: Beat): void;
  ended(end: ProcessEnd): void;
  violation(error: TwinkleError): void;
}

/** Beats a second are plenty: a death is seen by the process's end, not by silence. */
export const BEAT_MS = 1000;

export class RankSession {
  readonly channel: Channel;
  /** Under which the rank connects: several gangs share a hub, and a straggler must not be taken for its successor. */
  readonly identity = randomBytes(8).toString('hex');
  pid: number | null = null;
  over = false;
  readonly #links: Link[];
  readonly #gone = deferred<void>();
  #process: RunningRank | null = null;

  constructor(
    hub: Hub,
    readonly rank: number,
    readonly epoch: number,
    private readonly native: Native,
    private readonly deathWriter: number,
    private readonly passSocket: number,
    private readonly events: SessionEvents,
  ) {
    const main = hub.link(this.identity);
    const beats = hub.link(`${this.identity}:beat`);
    this.#links = [main, beats];
    beats.receive((frame) => {
      if (frame.t === 'beat' && !this.over) events.beat(frame);
    });
    this.channel = new Channel(
      {
        send: (frame) => main.send(frame),
        close: () => main.close(),
        receive: (listener) => main.receive((frame) => this.#greeted(frame, main) || listener(frame)),
      },
      events,
    );
  }

  /** The process exists now. */
  started(process: RunningRank): void {
    this.#process = process;
    this.pid = process.pid;
    // The gang was torn down while this launch was under way.
    if (this.over) this.native.killGroup(process.pid, 9);
    void process.ended.then((end) => {
      if (!this.over) this.events.ended(end);
    });
  }

  /** Pass a descriptor of a shared segment; the rank picks it up at `attach_segment`. */
  pass(segment: string, fd: number): void {
    this.native.sendFds(this.passSocket, Buffer.from(`${JSON.stringify({ segment })}\n`), [fd]);
  }

  /** Ask it to end, and wait until it has, for `limitMs` at most. */
  async leave(limitMs: number): Promise<void> {
    // The end of the process is the answer: a rank that dies of the request, or before it, has left too.
    this.channel.call('shutdown', null).catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([this.#process?.ended, late]);
    clearTimeout(timer);
  }

  /** Stop listening to this rank and fail what is open with it. Its process is the caller's business. */
  close(error: TwinkleError): void {
    if (this.over) return;
    this.over = true;
    this.channel.fail(error);
    for (const link of this.#links) link.close();
  }

  /** Close what the process was given; it kills a rank that is still alive. Resolves when the process is gone. */
  async release(): Promise<void> {
    this.native.closeFd(this.deathWriter);
    this.native.closeFd(this.passSocket);
    await this.#process?.ended;
    this.#gone.resolve();
  }

  /** Resolves when the process is gone for certain, after {@link release}: what it held may be given to others. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  #greeted(frame: FromRank, link: Link): boolean {
    if (frame.t !== 'hello') return false;
    const reason =
      frame.protocol !== PROTOCOL_VERSION
        ? `protocol ${frame.protocol} of twinkle_worker against ${PROTOCOL_VERSION} of twinkle-node: update the older one`
        : frame.epoch !== this.epoch || frame.rank !== this.rank
          ? `rank ${frame.rank} of epoch ${frame.epoch} came where rank ${this.rank} of epoch ${this.epoch} was expected`
          : null;
    if (reason === null) {
      this.pid ??= frame.pid; // a forked rank can be here before the template has told of it
      link.send({ t: 'welcome', protocol: PROTOCOL_VERSION, epoch: this.epoch, beat_ms: BEAT_MS });
      this.events.hello();
    } else {
      link.send({ t: 'refuse', reason });
      this.events.violation(new TwinkleError('PROTOCOL', reason));
    }
    return true;
  }
}
