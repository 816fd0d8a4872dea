/** A gang of one mock rank in this process, below serving and HTTP: for figures of the channel and of shared memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PYTHON_WORKERS } from '../../dist/config/package-root.js';
import { loadNative } from '../../dist/native/load.js';
import { ModelService } from '../../dist/serving/model-service.js';
import { Replica } from '../../dist/serving/replica.js';
import { Gang } from '../../dist/supervisor/gang.js';
import { DirectLauncher } from '../../dist/supervisor/launcher.js';
import { ProcessWatcher } from '../../dist/supervisor/process-watcher.js';
import { engineEnvironment } from '../../dist/supervisor/rank-environment.js';
import { openZmqHub } from '../../dist/transport/zmq-hub.js';
import { enginePython } from './python.mjs';

const ID = 'mock/0';
const nowMs = () => performance.now();

/** @param options of the mock engine */
export async function startGang(options = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-bench-'));
  const native = loadNative();
  const watcher = ProcessWatcher.of(native);
  const hub = await openZmqHub({
    address: `ipc://${join(folder, 'ranks')}`,
    onBadFrame: (_, error) => console.error(error),
  });
  const launcher = new DirectLauncher(native, watcher, {
    python: await enginePython('mock'),
    env: engineEnvironment(process.env, PYTHON_WORKERS, 'info'),
    parentDeathSignal: true,
  });
  const spec = {
    id: ID,
    engine: 'mock',
    worldSize: 1,
    ownEngine: false,
    sharedMask: false,
    load: { model: 'mock', options },
    breaker: { limit: 5, windowMs: 60_000 },
    phaseTimeoutMs: 60_000,
    silenceMs: 30_000,
    stallMs: 30_000,
  };
  const gang = new Gang(spec, {
    native,
    watcher,
    hub,
    launcher,
    instance: `bench${process.pid}`,
    inherited: process.env,
    incidentFolder: folder,
    logPath: (_, rank) => join(folder, `rank${rank}.log`),
    nowMs,
  });
  const replica = new Replica(ID, Object.assign(gang, { group: null }), () => []);
  const ready = new Promise((resolve, reject) => {
    gang.events.on('change', () => {
      if (gang.state.at === 'ready') resolve();
      if (gang.state.at === 'failed') reject(new Error(gang.state.failure.message));
    });
  });
  gang.start();
  await ready;
  return {
    gang,
    native,
    service: new ModelService({ names: ['mock'], created: 0, maxQueue: 1000, nowMs }, [replica]),
    async stop() {
      await gang.stop();
      await launcher[Symbol.asyncDispose]();
      await hub[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
