import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { WarmPool } from '../../src/runtime/warm-pool.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { GangKit, isAlive, killProcess } from '../support/gang-kit.js';

let kit: GangKit;
beforeEach(async () => {
  kit = await GangKit.make();
});
afterEach(async () => {
  await kit[Symbol.asyncDispose]();
});

const TEMPLATE = 'twinkle_worker.template';

describe('ranks forked from a template', () => {
  it('run, die and come back like others, with their exit code and signal known', async () => {
    const gang = kit.gang({}, { worldSize: 2 }, kit.template());
    gang.start();
    await kit.until(gang, 'ready');
    const [first, second] = gang.pids;
    expect(await gang.lead?.call('echo', 'hi')).toBe('hi');
    killProcess(second, 'SIGKILL');
    await kit.until(gang, 'backoff');
    await kit.until(gang, 'ready');
    expect(kit.incidents()[0]).toMatchObject({ failure: { rank: 1 }, end: { signalName: 'SIGKILL', code: null } });
    expect(isAlive(first ?? 0)).toBe(false);
    await gang.stop();
    expect(gang.pids).toEqual([null, null]);
  });

  it('write to their own log files, not to the template’s', async () => {
    const gang = kit.gang({ fault: 'error@token:1' }, { breaker: { limit: 1, windowMs: 60_000 } }, kit.template());
    gang.start();
    await kit.until(gang, 'ready');
    const { generateParams } = await import('../support/generate-params.js');
    await new Promise((resolve) => {
      gang.lead?.open('generate', generateParams('x', 5), { item() {}, end: resolve, error: resolve });
    });
    await kit.until(gang, 'failed');
    expect(kit.log('m-0-rank0.log')).toContain('RuntimeError: scripted fault');
    expect(kit.log('template.log')).not.toContain('RuntimeError');
    expect(kit.incidents()[0]).toMatchObject({ end: { code: 1 } });
    expect(kit.incidents()[0]?.tail.join('\n')).toContain('RuntimeError: scripted fault');
  });

  it('outlive their template; the next start gets a new one', async () => {
    const launcher = kit.template();
    const gang = kit.gang({}, {}, launcher);
    gang.start();
    await kit.until(gang, 'ready');
    const [rank = null] = gang.pids;
    const { readdirSync, readFileSync } = await import('node:fs');
    const templates = readdirSync('/proc').filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(TEMPLATE) &&
          Number(pid) !== rank &&
          readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TWINKLE_INSTANCE=${kit.instance}`)
        );
      } catch {
        return false;
      }
    });
    expect(templates).toHaveLength(1);
    killProcess(Number(templates[0]), 'SIGKILL');
    await kit.watcher.gone(Number(templates[0]));
    expect(isAlive(rank ?? -1)).toBe(true);
    expect(await gang.lead?.call('echo', 1)).toBe(1);
    killProcess(rank, 'SIGKILL');
    await kit.until(gang, 'backoff');
    await kit.until(gang, 'ready');
    expect(await gang.lead?.call('echo', 2)).toBe(2);
  });

  it('are made for several models by one, whose death costs none of them more than an import', async () => {
    const pool = new WarmPool(kit.native, kit.watcher, kit.folder);
    const launchers = ['/models/a', '/models/b'].map((model) => pool.launcher('mock', kit.runtime, model));
    kit.launchers.push(...launchers); // ended twice, as a head does
    const gangs = launchers.map((launcher) => kit.gang({}, {}, launcher));
    /** Templates, by what they were told to import. */
    const templates = () =>
      processesWithEnv('TWINKLE_INSTANCE', kit.instance)
        .filter((pid) => !gangs.some(({ pids }) => pids.includes(pid)))
        .map((pid) => ({ pid, told: readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(-4, -1) }));
    const serve = async () => {
      await Promise.all(gangs.map((gang) => kit.until(gang, 'ready')));
      expect(await Promise.all(gangs.map(({ lead }) => lead?.call('echo', 'hi')))).toEqual(['hi', 'hi']);
      expect(templates().map(({ told }) => told)).toEqual([['mock', '/models/a', '/models/b']]);
    };
    for (const gang of gangs) gang.start();
    await serve();
    const [template] = templates();
    killProcess(template?.pid, 'SIGKILL');
    await kit.watcher.gone(template?.pid ?? 0);
    for (const { pids } of gangs) expect(isAlive(pids[0] ?? 0)).toBe(true);
    for (const { pids } of gangs) killProcess(pids[0], 'SIGKILL');
    await Promise.all(gangs.map((gang) => kit.until(gang, 'backoff')));
    await serve();
  });

  it('are made by the next template when one is killed while it imports', async () => {
    const gang = kit.gang({}, {}, kit.template());
    gang.start();
    // What the kernel does when memory runs out: no word about the environment.
    let template: number | undefined;
    // A process that has just been executed shows no environment for a moment.
    while (template === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      [template] = processesWithEnv('TWINKLE_INSTANCE', kit.instance);
    }
    killProcess(template, 'SIGKILL');
    await kit.until(gang, 'ready');
    expect(kit.incidents()).toMatchObject([{ failure: { kind: 'spawn', retry: true } }]);
    expect(JSON.stringify(kit.incidents())).toContain('SIGKILL');
  });

  it('say what is wrong with an environment that cannot import the engine, and how to mend it', async () => {
    // The mock engine's environment has no torch.
    const gang = kit.gang({}, { engine: 'transformers' }, kit.template({}, 'transformers', DEMO_MODEL));
    gang.start();
    await kit.until(gang, 'failed');
    expect(gang.state).toMatchObject({ failure: { kind: 'spawn', retry: false } });
    expect(JSON.stringify(gang.state)).toMatch(/ModuleNotFoundError.*setup --engine transformers --force/s);
  });

  it('say what is wrong with an interpreter that is not there', async () => {
    const gang = kit.gang({}, {}, kit.template({ python: '/nowhere/python3' }));
    gang.start();
    await kit.until(gang, 'failed');
    expect(JSON.stringify(gang.state)).toContain('/nowhere/python3');
  });
});
