/** A gang of mock ranks in this process, below serving and HTTP: for figures of the channel and of shared memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PYTHON_WORKERS } from '../../dist/config/package-root.js';
import { loadNative } from '../../dist/native/load.js';
import { buildModel } from '../../dist/runtime/build-model.js';
import { resolvePythons } from '../../dist/runtime/configure.js';
import { ProcessWatcher } from '../../dist/supervisor/process-watcher.js';
import { engineEnvironment } from '../../dist/supervisor/rank-environment.js';
import { openZmqHub } from '../../dist/transport/zmq-hub.js';

const QUIET = { step() {}, detail() {} };

/** The interpreter that `setup --engine mock` made. */
export async function mockPython() {
  const config = {
    models: [{ engine: 'mock', placement: { accelerator: null } }],
    python: { interpreter: null, mayInstall: true },
  };
  return (await resolvePythons(config, { env: process.env, progress: QUIET })).get('mock').python;
}

export async function startGang(engineArgs = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-bench-'));
  const native = loadNative();
  const hub = await openZmqHub({
    address: `ipc://${join(folder, 'ranks')}`,

    onBadFrame: (_, error) => console.error(error),
  });
  const built = buildModel(
    {
      model: 'mock',
      servedNames: ['mock'],
      engine: 'mock',
      tensorParallel: 1,
      pipelineParallel: 1,
      dataParallel: 1,
      devices: [],
      maxModelLen: null,
      engineArgs,
    },
    {
      native,
      hub,
      watcher: ProcessWatcher.of(native),
      instance: `bench${process.pid}`,
      inherited: process.env,
      incidentFolder: folder,
      nowMs: () => performance.now(),
      python: {
        python: await mockPython(),
        env: engineEnvironment(process.env, PYTHON_WORKERS, 'info'),
        parentDeathSignal: true,
      },
      logFolder: folder,
      supervision: { phaseTimeoutMs: 60_000, crashLoopLimit: 5, crashLoopWindowMs: 60_000 },
      maxQueue: 1000,
    },
  );
  const [gang] = built.gangs;
  const until = (state) =>
    new Promise((resolve) => {
      const look = () => gang.state.at === state && resolve();
      gang.events.on('change', look);
      look();
    });
  gang.start();
  await until('ready');
  return {
    gang,
    native,
    service: built.service,
    until,
    async stop() {
      await gang.stop();
      await hub[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
