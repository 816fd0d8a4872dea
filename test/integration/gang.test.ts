import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TwinkleError } from '../../src/errors.js';
import type { Gang } from '../../src/supervisor/gang.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { GangKit, isAlive, killProcess } from '../support/gang-kit.js';
import { generateParams } from '../support/generate-params.js';

let kit: GangKit;
beforeEach(async () => {
  kit = await GangKit.make();
});
afterEach(async () => {
  await kit[Symbol.asyncDispose]();
});

const living = (gang: Gang): number[] => gang.pids.filter((pid) => pid !== null);

async function ready(...args: Parameters<GangKit['gang']>): Promise<Gang> {
  const gang = kit.gang(...args);
  gang.start();
  await kit.until(gang, 'ready');
  return gang;
}

/** Text and outcome of a generation. */
function generate(gang: Gang, maxTokens: number) {
  let text = '';
  let first: () => void = () => {};
  const started = new Promise<void>((resolve) => {
    first = resolve;
  });
  const over = new Promise<TwinkleError | null>((resolve) => {
    gang.lead?.open('generate', generateParams('go', maxTokens), {
      item: (delta) => {
        text += delta.text;
        first();
      },
      end: () => resolve(null),
      error: resolve,
    });
  });
  return { started, over, text: () => text };
}

describe('a gang of real ranks', () => {
  it('starts every rank with its own identity and ends them all', async () => {
    const gang = await ready({}, { worldSize: 3 });
    const pids = living(gang);
    expect(new Set(pids).size).toBe(3);
    expect(gang.card).toMatchObject({ engine: 'mock', max_model_len: 4096 });
    await gang.stop();
    expect(pids.some(isAlive)).toBe(false);
    expect(processesWithEnv('TWINKLE_INSTANCE', kit.instance)).toEqual([]);
  });

  it('ends the streams of a killed rank with who, where and which signal, restarts and serves again', async () => {
    const gang = await ready({ step_ms: 5 }, { worldSize: 2 });
    const [lead = 0, other = 0] = living(gang);
    const whole = generate(gang, 30);
    expect(await whole.over).toBeNull();
    const cut = generate(gang, 4000);
    await cut.started;
    killProcess(other, 'SIGKILL');
    const error = await cut.over;
    expect(error).toMatchObject({ code: 'RANK_FAILED', details: { rank: 1, signal: 9, epoch: 1 } });
    expect(error?.message).toContain('rank 1');
    expect(error?.message).toContain('SIGKILL');
    await kit.until(gang, 'ready');
    expect(isAlive(lead)).toBe(false);
    expect(gang.epoch).toBe(2);
    const again = generate(gang, 30);
    expect(await again.over).toBeNull();
    expect(again.text()).toBe(whole.text());
  });

  it('is started again when it does not do as told', async () => {
    const gang = await ready();
    const pids = living(gang);
    gang.fail('it did not wake up: no answer');
    await kit.until(gang, 'starting');
    await kit.until(gang, 'ready');
    expect([gang.epoch, gang.restarts, pids.map(isAlive)]).toEqual([2, 1, [false]]);
    expect(kit.incidents()).toMatchObject([{ failure: { kind: 'error', message: 'it did not wake up: no answer' } }]);
  });

  it('writes an incident that names the first rank, its exit code and what it said last', async () => {
    const gang = kit.gang({ fault: 'exit:7@load' }, { breaker: { limit: 1, windowMs: 60_000 } });
    gang.start();
    await kit.until(gang, 'failed');
    expect(kit.incidents()).toMatchObject([
      { gang: 'm/0', epoch: 1, failure: { kind: 'exit', rank: 0 }, end: { code: 7, signal: null } },
    ]);
    expect(kit.incidents()[0]?.tail.join('\n')).toContain('rank 0 epoch 1');
  });

  it('gives up after as many failures as the breaker allows', async () => {
    const gang = kit.gang({ fault: 'kill@load' }, { breaker: { limit: 3, windowMs: 60_000 } });
    gang.start();
    await kit.until(gang, 'failed');
    expect(gang.epoch).toBe(3);
    expect(kit.incidents().map(({ end }) => end?.signalName)).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);
  });

  it('does not start again what cannot be loaded, and says why', async () => {
    const gang = kit.gang({ speed: 3 });
    gang.start();
    await kit.until(gang, 'failed');
    expect(gang.epoch).toBe(1);
    expect(gang.state).toMatchObject({ failure: { kind: 'load', retry: false } });
    expect(JSON.stringify(gang.state)).toContain("no option 'speed'");
  });

  it('names the rank and the phase that hang', async () => {
    const gang = kit.gang({ fault: 'hang@load' }, { phaseTimeoutMs: 700, breaker: { limit: 1, windowMs: 60_000 } });
    gang.start();
    await kit.until(gang, 'failed');
    expect(gang.state).toMatchObject({ failure: { kind: 'deadline', rank: 0 } });
    expect(JSON.stringify(gang.state)).toContain('phase `weights`');
  });

  it('takes a stopped process for dead when it has been silent too long', async () => {
    const gang = await ready({}, { silenceMs: 1500, breaker: { limit: 1, windowMs: 60_000 } });
    const [pid = 0] = living(gang);
    killProcess(pid, 'SIGSTOP');
    await kit.until(gang, 'failed');
    expect(gang.state).toMatchObject({ failure: { kind: 'silence', rank: 0 } });
    expect(isAlive(pid)).toBe(false);
  });

  it('finds a main loop that hangs inside a step', async () => {
    const gang = await ready({ fault: 'hang@token:3' }, { stallMs: 300, breaker: { limit: 1, windowMs: 60_000 } });
    const { over } = generate(gang, 10);
    expect(await over).toMatchObject({ code: 'RANK_FAILED' });
    expect(gang.state).toMatchObject({ failure: { kind: 'silence' } });
  });

  it('kills what a rank has started in a process group of its own', async () => {
    const gang = await ready();
    const [pid = 0] = living(gang);
    // What an engine's own helper looks like: another group, the rank's environment.
    const stray = kit.native.spawn({
      file: 'sleep',
      args: ['600'],
      env: [`TWINKLE_INSTANCE=${kit.instance}`, `TWINKLE_GANG=${gang.spec.id}`, `PATH=${process.env.PATH}`],
      cwd: null,
      fds: [],
      parentDeathSignal: false,
      cpus: null,
    });
    const ended = kit.watcher.ended(stray);
    killProcess(pid, 'SIGKILL');
    expect(await ended).toMatchObject({ signal: 9 });
    await kit.until(gang, 'ready');
  });

  it('can be stopped in every phase of its life', async () => {
    for (const when of ['starting', 'ready', 'backoff'] as const) {
      const gang = kit.gang({ load_ms: 50 });
      gang.start();
      if (when !== 'starting') await kit.until(gang, 'ready');
      const pids = living(gang);
      if (when === 'backoff') {
        killProcess(pids[0], 'SIGKILL');
        await kit.until(gang, 'backoff');
      }
      await gang.stop();
      expect(gang.state.at).toBe('stopped');
      expect([...pids, ...living(gang)].some(isAlive)).toBe(false);
    }
    expect(processesWithEnv('TWINKLE_INSTANCE', kit.instance)).toEqual([]);
  });
});
