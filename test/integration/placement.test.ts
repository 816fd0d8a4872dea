/** Ranks run where placement groups put them: real ranks, a ledger in this process. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLocalCluster } from '../../src/cluster/local-cluster.js';
import type { GroupSpec } from '../../src/cluster/types.js';
import { freeDevices } from '../../src/config/devices.js';
import { optionsLayer, type ServeOptions } from '../../src/config/user-options.js';
import { fakeDeviceReport } from '../../src/native/fake-devices.js';
import { loadNative } from '../../src/native/load.js';
import { configure, resolvePythons } from '../../src/runtime/configure.js';
import { startHead } from '../../src/runtime/head.js';
import { ownIdentity } from '../../src/runtime/identity.js';
import { localNode } from '../../src/runtime/local-node.js';
import type { PlacementSource } from '../../src/runtime/place-replicas.js';
import type { Head } from '../../src/runtime/types.js';
import type { StartProgress } from '../../src/serving/types.js';
import { createMockServer } from '../../src/testing.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-place-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

const environ = (pid: number): Record<string, string> =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

describe('ranks in places', () => {
  it('see the device of their bundle and their order on the box; a shared one is the same', async () => {
    await using server = await createMockServer({
      home,
      listen: false,
      fakeDevices: 'gpu:8',
      gpus: '5,2',
      tensorParallelSize: 2,
      dataParallelSize: 2,
      placementGroupConfig: { bundle_per_worker: { GPU: 0.5 } },
    });
    const ranks = server.models()[0]?.replicas.flatMap((replica) => replica.ranks) ?? [];
    const seen = ranks.map(({ pid }) => {
      const env = environ(pid as number);
      return [env.CUDA_VISIBLE_DEVICES, env.TWINKLE_DEVICE_IDS, env.LOCAL_RANK, env.RANK];
    });
    expect(seen).toEqual([
      ['GPU-fake-0005', 'GPU-fake-0005', '0', '0'],
      ['GPU-fake-0005', 'GPU-fake-0005', '1', '1'],
      ['GPU-fake-0002', 'GPU-fake-0002', '0', '0'],
      ['GPU-fake-0002', 'GPU-fake-0002', '1', '1'],
    ]);
  });

  it('are refused before any process when there is no room, with what would help', async () => {
    const starting = createMockServer({ home, fakeDevices: 'gpu:2', gpus: '0-1', dataParallelSize: 3 });
    await expect(starting).rejects.toMatchObject({
      code: 'INFEASIBLE',
      message: expect.stringMatching(/no place for mock\/2: GPU 1, .*STRICT_PACK; .*set smaller -tp, -pp or -dp/),
    });
    expect(readdirSync(home)).toEqual([]);
  });
});

describe('a head on a cluster that others use', () => {
  const WHOLE: GroupSpec = {
    name: 'training',
    namespace: 'default',
    lifetime: 'owner',
    strategy: 'PACK',
    domainLabel: null,
    bundles: [{ GPU: 1 }],
    selectors: null,
    softTarget: null,
    tensorParallel: 1,
    hold: 'stateful',
    task: null,
  };

  /** A ledger over two fake GPUs. */
  function cluster(): PlacementSource {
    const { devices, links } = freeDevices(['gpu'], fakeDeviceReport('gpu:2'), {});
    const hello = localNode(ownIdentity(), { cpus: 4, devices, links }, loadNative().cpu());
    return { cluster: openLocalCluster({ hello }), sole: false, nodes: null, devices, leftOut: [] };
  }

  async function head(placement: PlacementSource, options: ServeOptions = {}): Promise<Head> {
    const env = { ...process.env, TWINKLE_FAKE_DEVICES: 'gpu:2' };
    const { layer, engineArgs } = optionsLayer({
      engine: 'mock',
      home,
      port: 0,
      placementGroupConfig: { bundle_per_worker: { GPU: 1 } },
      ...options,
    });
    const devices = async () => fakeDeviceReport('gpu:2');
    const { config } = await configure({
      written: layer,
      engineArgs,
      env,
      cwd: process.cwd(),
      configFile: null,
      mayWrite: true,
      devices,
      cluster: async () => new Set(['GPU'] as const),
    });
    const pythons = await resolvePythons(config, { env, progress: { step() {}, detail() {} } });
    return await startHead(config, { pythons, env, placement });
  }

  it('waits for its turn, says so everywhere, starts when there is room, and gives back what it had', async () => {
    const source = cluster();
    const training = await source.cluster.createGroup({ ...WHOLE, bundles: [{ GPU: 1 }, { GPU: 1 }] });
    await training.ready();
    await using serving = await head(source);
    const waiting = (): StartProgress | null => serving.inference.models()[0]?.progress ?? null;
    const said: string[] = [];
    serving.on('progress', (_, { phase }) => said.push(phase));
    await expect.poll(waiting).toMatchObject({ phase: 'placement', detail: expect.stringMatching(/GPU/) });
    expect(waiting()?.detail).toContain('group mock/0 waits for GPU 1, CPU 1, PACK: ');
    const startup = await fetch(`${serving.url}/startupz`);
    expect(startup.status).toBe(503);
    expect(await startup.json()).toMatchObject({ models: [{ state: 'starting', progress: { phase: 'placement' } }] });
    expect(serving.status().models[0]?.replicas[0]?.ranks).toMatchObject([{ pid: null, devices: [] }]);

    await training.remove();
    await serving.ready();
    expect(said).toContain('launch');
    const snapshot = await source.cluster.snapshot();
    expect(snapshot.groups.filter(({ state }) => state === 'CREATED')).toMatchObject([
      { name: 'mock/0', hold: 'serving' },
    ]);
    expect(serving.status().models[0]?.replicas[0]?.ranks).toMatchObject([{ devices: ['GPU-fake-0000'] }]);

    await serving.close();
    const after = await source.cluster.snapshot();
    expect(after.nodes[0]?.available).toMatchObject({ GPU: 2 });
    // It is ours, and others may go on with it.
    await (await source.cluster.createGroup(WHOLE)).ready();
  });

  it('ends the ranks of a group that somebody removes, and is over with the last', async () => {
    const source = cluster();
    await using serving = await head(source);
    const fatal = new Promise<Error>((resolve) => serving.on('fatal', resolve));
    await serving.ready();
    const pid = serving.status().models[0]?.replicas[0]?.ranks[0]?.pid as number;
    expect(environ(pid).CUDA_VISIBLE_DEVICES).toBe('GPU-fake-0000');
    // Its end removes every group that it has.
    await source.cluster[Symbol.asyncDispose]();
    expect(await fatal).toMatchObject({ code: 'GROUP_REMOVED' });
    await expect.poll(() => serving.status().models[0]?.state).toBe('failed');
    expect(serving.status().models[0]?.reason).toContain('was removed');
    await expect.poll(() => serving.status().models[0]?.replicas[0]?.ranks[0]?.pid).toBeNull();
    expect(() => process.kill(pid, 0)).toThrow();
  });

  it('closes while it waits', async () => {
    const source = cluster();
    const serving = await head(source, { tensorParallelSize: 3 });
    await expect.poll(() => serving.inference.models()[0]?.progress?.phase).toBe('placement');
    await serving.close();
    await expect(serving.ready()).rejects.toMatchObject({ code: 'DRAINING' });
    const { groups } = await source.cluster.snapshot();
    expect(groups.filter(({ state }) => state !== 'REMOVED')).toEqual([]);
  });
});
