/**
 * A gang of ranks: carries out what the pure machine says. Owns the processes of the current epoch and nothing of requests beyond
 * failing them. Other files: gang-machine (what to do), launch-ranks (how a start goes), teardown (how an end goes).
 */
import { randomInt } from 'node:crypto';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Phase } from '../protocol/frames.js';
import type { EngineStats, LoadParams, ModelCard } from '../protocol/values.js';
import type { Channel } from '../transport/channel.js';
import { backoffMs } from '../util/backoff.js';
import { Emitter } from '../util/emitter.js';
import { advance, type Failure, type GangEffect, type GangEvent, type GangMemory, newGang } from './gang-machine.js';
import { describeEnd, type IncidentReport, type RankEnd, reportIncident } from './incident.js';
import {
  type GangDependencies,
  type GangSpec,
  type Launching,
  launchRanks,
  leadOf,
  memberCount,
  memberName,
} from './launch-ranks.js';
import { PulseMonitor } from './pulse-monitor.js';
import type { RankPlace } from './rank-environment.js';
import { BEAT_MS, type RankSession } from './rank-session.js';
import { endGroups } from './teardown.js';

const BACKOFF = { firstMs: 100, maxMs: 30_000, factor: 3 };
const GRACEFUL_MS = 2_000;

export interface GangEvents {
  /** The state changed; read it from the gang. */
  change(): void;
  progress(rank: number, phase: Phase): void;
  /** A failure, with the path of its report. */
  incident(failure: Failure, path: string | null): void;
}

export class Gang {
  readonly events = new Emitter<GangEvents>();
  restarts = 0;
  /** What the member that takes requests said of the model at the last load. */
  card: ModelCard | null = null;
  stats: EngineStats | null = null;
  startedAtMs = 0;
  /** The last failure; null: there was none. */
  incident: IncidentReport | null = null;
  #places: readonly RankPlace[] = [];
  #stopReason: TwinkleError | null = null;
  readonly #members: number;
  readonly #lead: number;
  #memory: GangMemory;
  #sessions: readonly RankSession[] = [];
  #launching: Launching | null = null;
  readonly #pulse: PulseMonitor;
  #end: RankEnd | null = null;
  readonly #deadlines = new Map<number, NodeJS.Timeout>();
  #watchdog: NodeJS.Timeout | null = null;
  #backoff: NodeJS.Timeout | null = null;
  #stopWaiters: (() => void)[] = [];

  constructor(
    readonly spec: GangSpec,
    private readonly deps: GangDependencies,
  ) {
    this.#members = memberCount(spec);
    this.#lead = leadOf(spec);
    this.#memory = newGang(this.#members);
    this.#pulse = new PulseMonitor({
      silenceMs: spec.silenceMs,
      stallMs: spec.stallMs,
      beatMs: BEAT_MS,
      name: (member) => memberName(spec, member),
    });
  }

  get state(): GangMemory['state'] {
    return this.#memory.state;
  }

  get epoch(): number {
    return this.#memory.epoch;
  }

  /** Pid of each rank of this epoch, and behind them of the engine's own process. */
  get pids(): readonly (number | null)[] {
    return Array.from({ length: this.#members }, (_, member) => this.#sessions[member]?.pid ?? null);
  }

  /** The channel of the member that takes requests; null unless ready. */
  get lead(): Channel | null {
    return this.state.at === 'ready' ? (this.#sessions[this.#lead]?.channel ?? null) : null;
  }

  /** The session of a rank of this epoch, to pass it segments. */
  session(rank: number): RankSession | null {
    return this.#sessions[rank] ?? null;
  }

  /** Where each rank runs since the last start; empty: on CPUs. */
  get places(): readonly RankPlace[] {
    return this.#places;
  }

  /**
   * Start, or start again after a stop or a failure that ended it.
   * @param places of the ranks in this and later epochs; default: those of before
   */
  start(places: readonly RankPlace[] = this.#places): void {
    if (!['idle', 'failed', 'stopped'].includes(this.state.at)) return;
    this.#places = places;
    this.#feed({ on: 'start' });
  }

  /**
   * End every process; resolves when none is left. Idempotent.
   * @param reason what calls that run fail with; with `RANK_FAILED`, requests that have not begun wait for the next start
   */
  async stop(reason?: TwinkleError): Promise<void> {
    if (this.state.at === 'stopped') return;
    this.#stopReason = reason ?? null;
    const stopped = new Promise<void>((resolve) => this.#stopWaiters.push(resolve));
    this.#feed({ on: 'stop' });
    await stopped;
  }

  /** It does not do as told: end its processes, and start it again as after any failure. Nothing to do unless it runs. */
  fail(reason: string): void {
    this.#fault('error', this.#lead, reason);
  }

  #feed(event: GangEvent): void {
    const before = this.#memory.state;
    const step = advance(this.#memory, event, this.spec.breaker);
    this.#memory = step.memory;
    for (const effect of step.effects) this.#carryOut(effect);
    if (this.#memory.state !== before) this.events.emit('change');
  }

  #fault(kind: Failure['kind'], rank: number, message: string, retry = true): void {
    this.#feed({ on: 'fault', failure: { kind, rank, message, retry }, nowMs: this.deps.nowMs() });
  }

  #carryOut(effect: GangEffect): void {
    switch (effect.do) {
      case 'spawn':
        this.#end = null;
        this.#pulse.clear(); // beats may have come while the epoch before was stopped
        this.startedAtMs = this.deps.nowMs();
        if (effect.epoch > 1) this.restarts += 1;
        void this.#spawn(effect.epoch);
        return;
      case 'load':
        for (const session of this.#sessions) {
          this.#armDeadline(session.rank, 'load');
          void this.#load(session);
        }
        return;
      case 'announce-ready':
        this.#clearDeadlines();
        return;
      case 'report':
        this.#report(effect.failure);
        return;
      case 'teardown':
        this.#stopWatching();
        void this.#teardown(effect.graceful);
        return;
      case 'backoff': {
        const delay = backoffMs(BACKOFF, effect.attempt, randomInt(1000) / 1000);
        this.#backoff = setTimeout(() => this.#feed({ on: 'backoff-over' }), effect.attempt === 0 ? 0 : delay);
        return;
      }
      case 'announce-failed':
        return; // the change of state is the announcement
      case 'announce-stopped':
        if (this.#backoff !== null) clearTimeout(this.#backoff);
        for (const tell of this.#stopWaiters.splice(0)) tell();
    }
  }

  async #spawn(epoch: number): Promise<void> {
    const current = (): boolean => this.epoch === epoch && this.state.at === 'starting';
    try {
      const launching = launchRanks(this.spec, this.deps, epoch, this.#places, (rank) => ({
        hello: () => {
          this.#pulse.expect(rank, this.deps.nowMs());
          this.#disarmDeadline(rank); // from here it waits for the others
          this.#feed({ on: 'hello', rank });
        },
        phase: (phase) => {
          this.#armDeadline(rank, phase.phase);
          this.events.emit('progress', rank, phase);
        },
        beat: (beat) => {
          if (rank === this.#lead) this.stats = beat.stats;
          const wrong = this.#pulse.beat(rank, beat, this.deps.nowMs());
          if (wrong !== null) this.#fault('silence', wrong.rank, wrong.reason);
        },
        ended: (end) => {
          this.#end = { rank, name: memberName(this.spec, rank), pid: this.#sessions[rank]?.pid ?? 0, ...end };
          this.#fault('exit', rank, describeEnd(this.#end));
        },
        violation: (error) => this.#fault('protocol', rank, error.message),
      }));
      this.#launching = launching;
      this.#sessions = launching.sessions;
      for (let member = 0; member < this.#members; member++) this.#armDeadline(member, 'start');
      this.#watchdog = setInterval(() => {
        const silent = this.#pulse.silent(this.deps.nowMs(), this.state.at === 'ready');
        if (silent !== null) this.#fault('silence', silent.rank, silent.reason);
      }, BEAT_MS);
      this.#watchdog.unref();
      await launching.done;
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      if (current()) this.#fault('spawn', 0, error.message, error.code !== 'PYTHON_ENV');
    }
  }

  async #load(session: RankSession): Promise<void> {
    const params: LoadParams = this.spec.load;
    try {
      const card = await session.channel.call('load', params);
      if (session.over) return;
      if (session.rank === this.#lead) this.card = card;
      this.#disarmDeadline(session.rank);
      this.#feed({ on: 'loaded', rank: session.rank });
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      if (session.over) return; // the gang broke meanwhile and has said why
      this.#fault('load', session.rank, error.message, error.code !== 'LOAD_FAILED');
    }
  }

  /** A phase of a rank must end, or the next begin, in time. */
  #armDeadline(rank: number, phase: string): void {
    clearTimeout(this.#deadlines.get(rank));
    if (this.state.at !== 'starting') return;
    const limit = this.spec.phaseTimeoutMs;
    const timer = setTimeout(() => {
      const { rank: who, reason } = this.#pulse.culprit(rank, `phase \`${phase}\``, limit, this.deps.nowMs());
      this.#fault('deadline', who, reason);
    }, limit);
    timer.unref();
    this.#deadlines.set(rank, timer);
  }

  #disarmDeadline(rank: number): void {
    clearTimeout(this.#deadlines.get(rank));
    this.#deadlines.delete(rank);
  }

  #clearDeadlines(): void {
    for (const timer of this.#deadlines.values()) clearTimeout(timer);
    this.#deadlines.clear();
  }

  #stopWatching(): void {
    this.#clearDeadlines();
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#pulse.clear();
  }

  #report(failure: Failure): void {
    const { id } = this.spec;
    const error = new TwinkleError('RANK_FAILED', `gang ${id}: ${failure.message}`, {
      details: { gang: id, epoch: this.epoch, rank: failure.rank, signal: this.#end?.signal ?? null },
    });
    for (const session of this.#sessions) session.close(error);
    const log = failure.rank < 0 ? null : this.deps.logPath(this.spec, failure.rank);
    this.incident = reportIncident(this.deps.incidentFolder, {
      instance: this.deps.instance,
      gang: id,
      epoch: this.epoch,
      failure,
      end: this.#end,
      log,
    });
    this.events.emit('incident', failure, this.incident.path);
  }

  async #teardown(graceful: boolean): Promise<void> {
    const sessions = this.#sessions;
    if (graceful) await Promise.all(sessions.map((session) => session.leave(GRACEFUL_MS)));
    const closed = this.#stopReason ?? new TwinkleError('CHANNEL_CLOSED', `gang ${this.spec.id} has been stopped`);
    for (const session of sessions) session.close(closed);
    // A process that is being made belongs to this epoch: nothing may follow before it is known, and gone.
    this.#launching?.cancel();
    await this.#launching?.done.catch(() => {});
    this.#launching = null;
    const groups = sessions.map(({ pid }) => pid).filter((pid) => pid !== null);
    await endGroups(this.deps.native, this.deps.watcher, groups, this.spec.id, this.deps.instance);
    await Promise.all(sessions.map((session) => session.release()));
    this.#sessions = [];
    this.#feed({ on: 'gone' });
  }
}
