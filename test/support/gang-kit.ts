/** A gang of real ranks below serving: for tests of the supervisor. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PYTHON_WORKERS } from '../../src/config/package-root.js';
import { loadNative } from '../../src/native/load.js';
import { Gang } from '../../src/supervisor/gang.js';
import type { GangState } from '../../src/supervisor/gang-machine.js';
import type { Incident } from '../../src/supervisor/incident.js';
import type { GangSpec } from '../../src/supervisor/launch-ranks.js';
import { DirectLauncher, type PythonRuntime, type RankLauncher } from '../../src/supervisor/launcher.js';
import { ProcessWatcher } from '../../src/supervisor/process-watcher.js';
import { engineEnvironment } from '../../src/supervisor/rank-environment.js';
import { TemplateLauncher } from '../../src/supervisor/template-launcher.js';
import type { Hub } from '../../src/transport/link.js';
import { openZmqHub } from '../../src/transport/zmq-hub.js';
import { pythonFor } from './pythons.js';

export class GangKit implements AsyncDisposable {
  readonly native = loadNative();
  readonly watcher = ProcessWatcher.of(this.native);
  readonly gangs: Gang[] = [];
  readonly launchers: RankLauncher[] = [];

  private constructor(
    readonly folder: string,
    readonly hub: Hub,
    readonly runtime: PythonRuntime,
    readonly instance: string,
  ) {}

  /** @param address of the hub; default: ipc in the kit's folder */
  static async make(address?: string): Promise<GangKit> {
    const folder = mkdtempSync(join(tmpdir(), 'twinkle-test-'));
    const instance = `test-${process.pid}-${folder.slice(-6)}`;
    const hub = await openZmqHub({ address: address ?? `ipc://${join(folder, 'ranks')}`, onBadFrame() {} });
    const env = { ...engineEnvironment(process.env, PYTHON_WORKERS, 'info'), TWINKLE_INSTANCE: instance };
    return new GangKit(folder, hub, { python: await pythonFor('mock'), env, parentDeathSignal: false }, instance);
  }

  direct(): RankLauncher {
    return this.#keep(new DirectLauncher(this.native, this.watcher, this.runtime));
  }

  template(runtime: Partial<PythonRuntime> = {}, engine = 'mock', model = ''): TemplateLauncher {
    const log = join(this.folder, 'template.log');
    return this.#keep(
      new TemplateLauncher(
        this.native,
        this.watcher,
        { ...this.runtime, ...runtime },
        { engine, models: [model], log },
      ),
    );
  }

  gang(
    options: Record<string, unknown> = {},
    spec: Partial<GangSpec> = {},
    launcher: RankLauncher = this.direct(),
  ): Gang {
    const whole: GangSpec = {
      id: `m/${this.gangs.length}`,
      engine: 'mock',
      worldSize: 1,
      ownEngine: false,
      sharedMask: false,
      load: { model: 'mock', options },
      breaker: { limit: 3, windowMs: 60_000 },
      phaseTimeoutMs: 20_000,
      silenceMs: 20_000,
      stallMs: 20_000,
      ...spec,
    };
    const gang = new Gang(whole, {
      native: this.native,
      watcher: this.watcher,
      hub: this.hub,
      launcher,
      instance: this.instance,
      inherited: process.env,
      incidentFolder: join(this.folder, 'incidents'),
      logPath: (of, rank) => join(this.folder, `${of.id.replace('/', '-')}-rank${rank}.log`),
      nowMs: () => performance.now(),
    });
    this.gangs.push(gang);
    return gang;
  }

  /** Resolves when the gang is in that state. */
  until(gang: Gang, at: GangState['at']): Promise<void> {
    if (gang.state.at === at) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = gang.events.on('change', () => {
        if (gang.state.at !== at) return;
        stop();
        resolve();
      });
    });
  }

  incidents(): Incident[] {
    const folder = join(this.folder, 'incidents');
    return readdirSync(folder)
      .sort()
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Incident);
  }

  log(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.gangs.map((gang) => gang.stop()));
    for (const launcher of this.launchers) await launcher[Symbol.asyncDispose]();
    await this.hub[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #keep<T extends RankLauncher>(launcher: T): T {
    this.launchers.push(launcher);
    return launcher;
  }
}

/** Whether a process exists and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Signal one process. Refuses what is no pid: kill(0) would end the test runner and the shell that started it. */
export function killProcess(pid: number | null | undefined, signal: NodeJS.Signals): void {
  if (pid === null || pid === undefined || pid < 2) throw new Error(`${pid} is no process to send ${signal} to`);
  process.kill(pid, signal);
}
