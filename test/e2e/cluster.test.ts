import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GroupStatus } from '../../src/cluster/api.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { runCli } from '../support/cli.js';
import { FakeBox } from '../support/cluster-cli.js';
import { isAlive } from '../support/gang-kit.js';

const complete = (url: string): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'mock', prompt: 'go', max_tokens: 4 }),
  });

/** The mock engine runs on CPUs unless bundles ask for devices. */
const ON_GPUS = ['--placement-group-config', '{"bundle_per_worker": {"GPU": 1}}'];

const devicesOf = (group: GroupStatus | undefined): number[] =>
  (group?.bundles ?? []).flatMap(({ devices }) => devices.map(({ instance }) => instance)).sort();

describe('start --head', () => {
  it('returns when the head is ready; status and list show it; a second one is refused; stop leaves nothing', async () => {
    await using box = new FakeBox('gpu:8');
    const head = await box.start();
    expect(isAlive(head.pid)).toBe(true);
    const [node, ...others] = await box.nodes();
    expect(others).toEqual([]);
    expect(node).toMatchObject({ state: 'alive', resources: { GPU: 8, CPU: 16 }, available: { GPU: 8 } });
    const status = await runCli(['status'], box.env);
    expect(status.stdout).toContain(`${head.instance} `);
    expect(status.stdout).toContain(head.address);
    const second = await runCli(['start', '--head'], box.env);
    expect(second).toMatchObject({ code: 2 });
    expect(second.stderr).toContain(`a head runs already in ${box.home}: ${head.instance}, pid ${head.pid}`);
    const stop = await runCli(['stop'], box.env);
    expect(stop).toMatchObject({ code: 0, stdout: `${head.instance} (pid ${head.pid}) has ended\n` });
    expect(isAlive(head.pid)).toBe(false);
    expect(readdirSync(join(box.home, 'run'))).toEqual([]);
    expect(readdirSync(join(box.home, 'instances'))).toEqual([]);
  });

  it('offers what it is told to', async () => {
    await using box = new FakeBox('gpu:8');
    await box.start('--num-gpus', '2');
    expect((await box.nodes())[0]).toMatchObject({ resources: { GPU: 2 } });
    await runCli(['stop'], box.env);
    await box.start('--gpus', '5,3');
    const devices = (await box.nodes())[0]?.devices.map(({ instance, uuid }) => [instance, uuid.slice(-1)]);
    expect(devices).toEqual([
      [0, '5'],
      [1, '3'],
    ]);
    await runCli(['stop'], box.env);
    const tooMany = await runCli(['start', '--head', '--num-gpus', '9'], box.env);
    expect(tooMany.code).not.toBe(0);
    expect(tooMany.stderr).toContain('expected 9 GPUs for `--num-gpus` but 8 are here');
  });
});

describe('servers of a box with a head', () => {
  it('share its devices: each gets its own, one that finds no room says why and starts when there is', async () => {
    await using box = new FakeBox('gpu:4');
    await box.start();
    await using first = box.serve(...ON_GPUS, '-tp', '2', '--served-model-name', 'first');
    await first.event('ready');
    await using second = box.serve(...ON_GPUS, '-tp', '2', '--served-model-name', 'second');
    await second.event('ready');
    const placed = await box.groups();
    expect(placed.map(({ state }) => state)).toEqual(['CREATED', 'CREATED']);
    expect(placed.flatMap(devicesOf).sort()).toEqual([0, 1, 2, 3]);
    await using third = box.serve(...ON_GPUS, '-tp', '2', '--served-model-name', 'third');
    const waiting = await box.until(
      () => box.groups(),
      (groups) => groups.some(({ scheduling }) => scheduling === 'NO_RESOURCES'),
    );
    expect(waiting.find(({ state }) => state === 'PENDING')).toMatchObject({ position: 0 });
    await expect.poll(() => third.events.some((event) => JSON.stringify(event).includes('placement'))).toBe(true);
    first.child.kill('SIGTERM');
    await first.ended;
    await third.event('ready');
    expect((await box.groups()).filter(({ state }) => state === 'CREATED')).toHaveLength(2);
  });

  it('kill -9 of a server gives its devices back at once', async () => {
    await using box = new FakeBox('gpu:2');
    await box.start();
    await using victim = box.serve(...ON_GPUS, '-tp', '2');
    await victim.event('ready');
    const ranks = await victim.rankPids();
    await box.kill(victim.pid);
    const groups = await box.until(
      () => box.groups(),
      (all) => all.every(({ state }) => state === 'REMOVED'),
    );
    expect(groups.filter(({ state }) => state !== 'REMOVED')).toEqual([]);
    expect((await box.nodes())[0]).toMatchObject({ available: { GPU: 2 } });
    await box.until(
      async () => ranks.filter(isAlive),
      (alive) => alive.length === 0,
    );
    await using next = box.serve(...ON_GPUS, '-tp', '2');
    await next.event('ready');
  });

  it('go on while the head is killed and started again: same group, same ranks', async () => {
    await using box = new FakeBox('gpu:2');
    const head = await box.start();
    await using server = box.serve(...ON_GPUS, '-tp', '2');
    await server.event('ready');
    const ranks = await server.rankPids();
    const [before] = await box.groups();
    await box.kill(head.pid);
    expect((await complete(server.url)).status).toBe(200);
    const again = await box.start();
    expect(again.cluster).toBe(head.cluster);
    const [after] = await box.until(
      () => box.groups(),
      ([group]) => group?.state === 'CREATED',
    );
    expect(after).toMatchObject({ id: before?.id, bundles: before?.bundles });
    expect((await box.nodes())[0]).toMatchObject({ state: 'alive', available: { GPU: 0 } });
    expect(await server.rankPids()).toEqual(ranks);
    expect((await complete(server.url)).status).toBe(200);
    // The restarted head frees them like any other.
    server.child.kill('SIGTERM');
    await server.ended;
    expect((await box.nodes())[0]).toMatchObject({ available: { GPU: 2 } });
  });

  it('stop their replicas when the head stays away beyond its grace, and start them again when it is back', async () => {
    await using box = new FakeBox('gpu:2');
    const head = await box.start('--head-grace', '1');
    await using server = box.serve(...ON_GPUS, '-tp', '2');
    await server.event('ready');
    const ranks = await server.rankPids();
    await box.kill(head.pid);
    await box.until(
      async () => ranks.filter(isAlive),
      (alive) => alive.length === 0,
    );
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    await box.start();
    await box.until(
      async () => (await fetch(`${server.url}/readyz`)).status,
      (status) => status === 200,
    );
    expect((await complete(server.url)).status).toBe(200);
  });

  it('say what to do when no head answers, or when devices are named beside one', async () => {
    await using box = new FakeBox('gpu:2');
    const alone = await runCli(['serve', 'mock', '--engine', 'mock', '--address', 'auto', '--port', '0'], box.env);
    expect(alone.code).toBe(7);
    expect(alone.stderr).toContain('start --head');
    await box.start();
    const named = await runCli(['serve', 'mock', '--engine', 'mock', '--gpus', '0', '--port', '0'], box.env);
    expect(named.code).toBe(2);
    expect(named.stderr).toContain('--address local');
    const marked = processesWithEnv('TWINKLE_HOME', box.home);
    expect(marked).toHaveLength(1); // the head alone
  });
});

describe('a server without a head', () => {
  it('has a cluster of its own, which list shows', async () => {
    await using box = new FakeBox('gpu:4');
    await using server = box.serve('--gpus', '1-2', '-tp', '2');
    await server.event('ready');
    const [group] = await box.groups();
    expect(group).toMatchObject({ state: 'CREATED', strategy: 'PACK' });
    expect(group?.bundles.flatMap(({ devices }) => devices.map(({ uuid }) => uuid.slice(-1)))).toEqual(['1', '2']);
    const gangs = JSON.parse((await runCli(['list', 'gangs', '--json'], box.env)).stdout) as { group: string }[];
    expect(gangs[0]?.group).toBe(group?.id);
  });
});
