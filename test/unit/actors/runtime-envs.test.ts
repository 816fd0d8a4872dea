import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderStore } from '../../../src/actors/folder-store.js';
import { RuntimeEnvs, type WantedEnvironment } from '../../../src/actors/runtime-envs.js';
import { TwinkleError } from '../../../src/errors.js';
import type { RuntimeEnv } from '../../../src/protocol/work.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { NodeKit } from './node-kit.js';
import { demandOf, refusal, until } from './played-client.js';

const JOB = { driver: 1, python: '/py', sysPath: [], cwd: '/here', namespace: '' };
const wanted = (packages: string[], more: Partial<RuntimeEnv> = {}) => ({
  runtime_env: { packages, options: [], stamp: '', folder: '', modules: [], ...more },
});
const never = new AbortController().signal;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-envs-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Build extends Deferred<string> {
  readonly wanted: WantedEnvironment;
  readonly told: (step: string) => void;
  readonly signal: AbortSignal;
}

/** @param lingers builds that are given up take for ever to end */
function setUp(lingers = false) {
  const builds: Build[] = [];
  const folders = new FolderStore(root, async () => 1);
  const envs = new RuntimeEnvs(async (wanted, told, signal) => {
    told('a first step'); // before it returns
    const build = { ...deferred<string>(), wanted, told, signal };
    builds.push(build);
    if (!lingers) signal.addEventListener('abort', () => build.reject(signal.reason));
    return await build.promise;
  }, folders);
  return { envs, builds, folders };
}

describe('surroundings', () => {
  it('without a wish are the driver’s, at once', async () => {
    const { envs, builds } = setUp();
    const preparation = envs.prepare(JOB, {});
    expect(preparation.reason).toBeNull();
    expect(await preparation.ready(never)).toEqual({ python: '/py', cwd: '/here', firstPath: [] });
    expect(builds).toEqual([]);
  });

  it('are made once for all who wait, who can say what for; others get their own', async () => {
    const { envs, builds } = setUp();
    const [one, same] = [envs.prepare(JOB, wanted(['a==1'])), envs.prepare(JOB, wanted(['a==1']))];
    const ready = [one.ready(never), same.ready(never)];
    void envs.prepare({ ...JOB, python: '/other' }, wanted(['a==1'])).ready(never);
    void envs.prepare(JOB, wanted(['a==1'], { stamp: 'x' })).ready(never);
    await until(() => builds.length === 3);
    expect(builds[0]?.wanted).toEqual({ python: '/py', packages: ['a==1'], options: [], stamp: '' });
    expect(same.reason).toBe('its environment is being made: a first step');
    builds[0]?.told('Collecting a');
    expect(same.reason).toMatch(/Collecting a$/);
    builds[0]?.resolve('/made');
    expect(await Promise.all(ready)).toEqual(Array(2).fill({ python: '/made', cwd: '/here', firstPath: [] }));
    expect(one.reason).toBeNull();
  });

  it('that failed are refused to all who waited, and made again for the next', async () => {
    const { envs, builds } = setUp();
    const ready = [1, 2].map(() => envs.prepare(JOB, wanted(['a'])).ready(never));
    const refused = Promise.all(ready.map((one) => expect(one).rejects.toMatchObject({ code: 'RUNTIME_ENV' })));
    builds[0]?.reject(new TwinkleError('RUNTIME_ENV', 'no such package'));
    await refused;
    const again = envs.prepare(JOB, wanted(['a'])).ready(never);
    builds[1]?.resolve('/made');
    expect((await again).python).toBe('/made');
  });

  it('are made for as long as somebody waits; who comes when they are given up makes them anew', async () => {
    const { envs, builds } = setUp(true);
    const [first, second] = [new AbortController(), new AbortController()];
    const ready = [first, second].map(({ signal }) => envs.prepare(JOB, wanted(['a'])).ready(signal));
    first.abort(new Error('first left'));
    await expect(ready[0]).rejects.toThrow('first left');
    expect(builds[0]?.signal.aborted).toBe(false);
    second.abort(new Error('second left'));
    await expect(ready[1]).rejects.toThrow('second left');
    expect(builds[0]?.signal.aborted).toBe(true);
    const late = envs.prepare(JOB, wanted(['a'])).ready(never);
    await until(() => builds.length === 2);
    builds[1]?.resolve('/made');
    expect((await late).python).toBe('/made');
    await expect(envs.prepare(JOB, wanted(['b'])).ready(first.signal)).rejects.toThrow('first left');
    expect(builds[2]?.signal.aborted).toBe(true);
  });

  it('name folders by their keys; one that is not known is refused', async () => {
    const { envs, folders } = setUp();
    const [folder, module] = ['a'.repeat(64), 'b'.repeat(64)];
    for (const key of [folder, module])
      folders.put(1, '/py', { key, at: 0, last: true }, Buffer.alloc(1)).catch(() => {});
    await expect(envs.prepare(JOB, wanted([], { folder: 'c'.repeat(64) })).ready(never)).rejects.toMatchObject({
      code: 'RUNTIME_ENV',
    });
  });

  it('under way are given up at the end', async () => {
    const { envs, builds } = setUp();
    const ready = envs.prepare(JOB, wanted(['a'])).ready(never);
    const refused = expect(ready).rejects.toMatchObject({ code: 'DRAINING' });
    await envs[Symbol.asyncDispose]();
    expect(builds[0]?.signal.aborted).toBe(true);
    await refused;
  });
});

describe('of a node', () => {
  it('a lease waits for its environment without a place, and its worker runs there', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const gate = deferred<string>();
    kit.environment = async () => await gate.promise;
    const driver = await kit.driver();
    const waiting = driver.ask('lease', demandOf({ CPU: 1 }, { ...wanted(['a']), env: { A: 'b' } }));
    const other = await driver.ask('lease', demandOf({ CPU: 1 })); // is not held up
    driver.tell('release', { lease: (other.value as { lease: number }).lease });
    gate.resolve('/made');
    await waiting;
    const used = kit.workers.at(-1);
    expect((await used?.client.hear('setup'))?.params).toMatchObject({
      ...{ ...wanted(['a']), env: { A: 'b' }, env_vars: { A: 'b' } },
    });
  });

  it('an actor says that it waits for its environment, and dies with a code when that cannot be made', async () => {
    await using kit = await NodeKit.open();
    const gate = deferred<string>();
    kit.environment = async (_wanted, told) => {
      told('pip install');
      return await gate.promise;
    };
    const driver = await kit.driver();
    await kit.actor(driver, { demand: demandOf({ CPU: 1 }, wanted(['a'])), max_restarts: -1 });
    await until(() => kit.service.lists.actors()[0]?.reason === 'its environment is being made: pip install');
    expect(await driver.hearState()).toBe('PENDING');
    gate.reject(new TwinkleError('RUNTIME_ENV', 'no such package'));
    expect((await driver.hear('actor')).params).toMatchObject({ code: 'RUNTIME_ENV', reason: 'no such package' });
  });

  it('folders come in parts, stay for actors, and are where workers run', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const key = 'd'.repeat(64);
    expect((await driver.ask('folder.has', { key })).value).toBe(false);
    await driver.ask('folder.put', { key, at: 0, last: false }, [Buffer.from('ab')]);
    await expect(driver.ask('folder.put', { key, at: 5, last: true }, [Buffer.from('c')])).rejects.toMatchObject(
      refusal('INVALID_REQUEST', /from byte 2/),
    );
    await driver.ask('folder.put', { key, at: 2, last: true }, [Buffer.from('c')]);
    expect((await driver.ask('folder.has', { key })).value).toBe(true);
    await kit.actor(driver, { demand: demandOf({ CPU: 1 }, wanted([], { folder: key })) });
    const worker = await kit.worker(0);
    const place = join(kit.folder, 'code', key);
    expect((await worker.client.hear('setup')).params).toMatchObject({ cwd: place, first_path: [place] });
  });
});
