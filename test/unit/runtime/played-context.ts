/** What gangs of a head stand on, with ranks that the test plays: all of them begin through one launcher. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import type { GangContext } from '../../../src/runtime/gang-ground.js';
import type { PlacementSource } from '../../../src/runtime/place-replicas.js';
import type { WarmPool } from '../../../src/runtime/warm-pool.js';
import type { GangSpec } from '../../../src/supervisor/launch-ranks.js';
import type { RankLauncher } from '../../../src/supervisor/launcher.js';
import { PlayedRanks, turn } from '../supervisor/played-ranks.js';
import { ScriptedCluster } from './scripted-cluster.js';

export class PlayedContext implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-context-'));
  readonly played = new PlayedRanks();
  readonly cluster: ScriptedCluster;
  readonly source: PlacementSource;
  readonly news = { progress: vi.fn(), failed: vi.fn(), recovered: vi.fn(), change: vi.fn() };
  /** What was asked of launchers. */
  readonly launchers: string[] = [];
  now = 0;

  constructor(kind: 'own' | 'head' = 'head', sole = false) {
    this.cluster = new ScriptedCluster(kind);
    this.source = { cluster: this.cluster, sole, nodes: null, devices: [], leftOut: [] };
  }

  /** Engines that the pool launches: not `mock`, whose ranks need no template. */
  readonly gangs: GangContext = {
    native: this.played.native,
    watcher: this.played.watcher,
    hub: this.played.hub,
    instance: `played-${this.folder.slice(-6)}`,
    inherited: {},
    incidentFolder: join(this.folder, 'incidents'),
    nowMs: () => this.now,
    python: { python: 'python', env: { PYTHONPATH: '/workers' }, parentDeathSignal: false },
    logFolder: this.folder,
    supervision: {
      shutdownTimeoutMs: 1000,
      phaseTimeoutMs: 1000,
      stepTimeoutMs: 5000,
      crashLoopLimit: 1,
      crashLoopWindowMs: 60_000,
    },
    pool: { launcher: (engine, python, model) => this.#launcher(`${engine} ${model}`, python.env) } as WarmPool,
  };

  /** Variables of each launcher that was made. */
  readonly environments: Readonly<Record<string, string>>[] = [];

  /** Every rank of the gang runs, says hello and loads. */
  async ready({ spec }: { spec: Pick<GangSpec, 'id' | 'worldSize'> }, maxModelLen = 64): Promise<void> {
    const ranks = Array.from({ length: spec.worldSize }, (_, rank) => this.played.rank(rank, spec.id));
    for (const rank of ranks) {
      rank.run();
      await turn();
      rank.hello();
    }
    await turn();
    await turn();
    for (const rank of ranks) rank.loaded({ max_model_len: maxModelLen });
    await turn();
  }

  /** Every process that lives ends. @param signal 0: by itself */
  async end(signal = 0): Promise<void> {
    const { processes } = this.played.native;
    for (const { pid, alive } of [...processes.spawned]) {
      if (alive) processes.end(pid, signal === 0 ? { code: 0 } : { signal });
    }
    await turn();
  }

  /** A gang that was told to end ends, whatever it was at. */
  async stopped(ending: Promise<unknown>): Promise<void> {
    let over = false;
    const done = ending.finally(() => {
      over = true;
    });
    await vi.waitUntil(async () => {
      await this.end();
      return over;
    });
    await done;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #launcher(name: string, env: Readonly<Record<string, string>>): RankLauncher {
    this.launchers.push(`make ${name}`);
    this.environments.push(env);
    return {
      prepare: () => void this.launchers.push(`prepare ${name}`),
      launch: (request) => this.played.launch(request),
      [Symbol.asyncDispose]: async () => void this.launchers.push(`end ${name}`),
    };
  }
}
