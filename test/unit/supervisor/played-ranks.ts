/** A gang without processes: the addon is the fake one, and the test plays launcher and ranks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFakeNative } from '../../../src/native/fake.js';
import type { Beat, FromRank, ToRank } from '../../../src/protocol/frames.js';
import type { ModelCard } from '../../../src/protocol/values.js';
import { PROTOCOL_VERSION } from '../../../src/protocol/version.js';
import { Gang } from '../../../src/supervisor/gang.js';
import type { GangSpec } from '../../../src/supervisor/launch-ranks.js';
import type { LaunchRequest, RankLauncher, RunningRank } from '../../../src/supervisor/launcher.js';
import { ProcessWatcher } from '../../../src/supervisor/process-watcher.js';
import { MemoryHub, type MemoryPeer } from '../../../src/transport/memory-hub.js';
import { deferred } from '../../../src/util/deferred.js';

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A launch that waits for the test. */
export interface PlayedRank {
  readonly request: LaunchRequest;
  readonly main: MemoryPeer;
  readonly frames: ToRank[];
  /** The process is there now. Returns its pid. */
  run(): number;
  hello(): void;
  /** @param content default: an idle rank */
  beat(content?: Partial<Beat>): void;
  /** @param card what it says of the model, beside the engine */
  loaded(card?: Partial<ModelCard>): void;
  send(frame: FromRank): void;
}

/** Launches ranks that the test plays. */
export class PlayedRanks implements RankLauncher {
  readonly native = createFakeNative();
  readonly watcher = ProcessWatcher.of(this.native);
  readonly hub = new MemoryHub();
  readonly ranks: PlayedRank[] = [];

  prepare(): void {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The latest launch of a rank. @param gang its id; default: that of any */
  rank(rank: number, gang?: string): PlayedRank {
    const found = this.ranks.findLast(
      ({ request: { launch } }) => launch.rank === rank && (gang === undefined || launch.gang === gang),
    );
    if (found === undefined) throw new Error(`rank ${rank} was not launched`);
    return found;
  }

  launch(request: LaunchRequest): Promise<RunningRank> {
    const running = deferred<RunningRank>();
    const { identity, rank, epoch, engine } = request.launch;
    const main = this.hub.join(identity);
    const beats = this.hub.join(`${identity}:beat`);
    const frames: ToRank[] = [];
    main.receive((frame) => frames.push(frame));
    this.ranks.push({
      request,
      main,
      frames,
      run: () => {
        const options = { file: 'x', args: [], env: [], cwd: null, fds: [], parentDeathSignal: false, cpus: null };
        const pid = this.native.spawn(options);
        running.resolve({ pid, ended: this.watcher.ended(pid) });
        return pid;
      },
      hello: () => main.send({ t: 'hello', protocol: PROTOCOL_VERSION, rank, epoch, pid: 1, engine, python: '3' }),
      beat: (content = {}) =>
        beats.send({ t: 'beat', seq: 0, phase: 'idle', busy_ms: 0, waits: null, stats: null, ...content }),
      loaded: (card = {}) => {
        const call = frames.find((frame) => frame.t === 'call' && frame.method === 'load') as { id: number };
        main.send({ t: 'result', id: call.id, value: { engine, ...card } as ModelCard });
      },
      send: (frame) => main.send(frame),
    });
    return running.promise;
  }
}

export class PlayedGang extends PlayedRanks implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-played-'));
  readonly gang: Gang;
  now = 0;

  constructor(spec: Partial<GangSpec> = {}) {
    super();
    const whole: GangSpec = {
      id: 'm/0',
      engine: 'mock',
      worldSize: 1,
      ownEngine: false,
      sharedMask: false,
      load: { model: 'mock', options: {} },
      breaker: { limit: 1, windowMs: 60_000 },
      phaseTimeoutMs: 1000,
      silenceMs: 5000,
      stallMs: 5000,
      ...spec,
    };
    this.gang = new Gang(whole, {
      native: this.native,
      watcher: this.watcher,
      hub: this.hub,
      launcher: this,
      instance: `played-${this.folder.slice(-6)}`,
      inherited: {},
      incidentFolder: join(this.folder, 'incidents'),
      logPath: (_, rank) => this.logPath(rank),
      nowMs: () => this.now,
    });
  }

  logPath(rank: number): string {
    return join(this.folder, `rank${rank}.log`);
  }

  /** Every rank runs and says hello. */
  async joined(): Promise<void> {
    for (let rank = 0; rank < this.gang.spec.worldSize; rank++) {
      this.rank(rank).run();
      await turn();
      this.rank(rank).hello();
    }
    await turn();
    await turn();
  }

  /** Every rank runs, says hello and loads. */
  async ready(): Promise<void> {
    await this.joined();
    for (let rank = 0; rank < this.gang.spec.worldSize; rank++) this.rank(rank).loaded();
    await turn();
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
