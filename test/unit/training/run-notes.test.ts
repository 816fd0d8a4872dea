/** What is kept with runs, runs that end before their sessions, and models that clients may ask for. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { ServiceOptions } from '../../../src/training/service-options.js';
import type { ModelLimits } from '../../../src/training/trainer.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const work = { loss: 'x', config: {}, forward_only: false, tokens: Buffer.alloc(4), lengths: [1], inputs: [] };

class Host extends FakeHost {
  limited: ModelLimits | null = null;

  limits(): ModelLimits | null {
    return this.limited;
  }
}

let root: string;
let host: Host;
let service: LocalTrainingService;
let session: string;
let now = 0;

function open(options: Partial<ServiceOptions> = {}): void {
  host = new Host();
  host.trainer.files = ['adapter_config.json', 'manifest.json'];
  const parts = { inference: new FakeInference(), sampling: new FakeSampling(), trainers: host };
  const folders = { checkpointFolder: join(root, 'checkpoints'), journalFolder: join(root, 'journal') };
  service = new LocalTrainingService({ ...parts, ...folders, nowMs: () => now, ...options });
}
async function restart(): Promise<void> {
  await service.written();
  await service.close();
  open();
  await service.restore();
}
async function create(seqId = 0): Promise<string> {
  const { run } = service.createRun('t', newRun(session, { seqId }));
  await flush();
  return run;
}
const noteOf = (run: string) => service.run('t', run).note;

beforeEach(() => {
  now = 0;
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  root = mkdtempSync(join(tmpdir(), 'twinkle-notes-'));
  open();
  session = service.createSession('t', NEW).id;
});
afterEach(async () => {
  await service.close();
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

describe('a note', () => {
  it('is what was kept last, and outlives the process, as does that there is none', async () => {
    const [one, two] = [await create(0), await create(1)];
    expect(noteOf(one)).toBeNull();
    service.note('t', one, { step: 1 });
    service.note('t', one, { step: 2, list: [1, null, 'x'] });
    for (let time = 0; time < 3; time++) {
      expect([noteOf(one), noteOf(two)]).toEqual([{ step: 2, list: [1, null, 'x'] }, null]);
      await restart();
    }
    service.note('t', one, { step: 3 });
    await restart();
    expect(noteOf(one)).toEqual({ step: 3 });
    expect(service.runs('t').map(({ note }) => note)).toEqual([{ step: 3 }, null]);
  });

  it('that came before the run was made is kept with it', async () => {
    const { run } = service.createRun('t', newRun(session));
    service.note('t', run, { early: true });
    await flush();
    await restart();
    expect(noteOf(run)).toEqual({ early: true });
  });

  it('of a run that never came to be is not', async () => {
    host.failure = new Error('no ranks');
    const { run } = service.createRun('t', newRun(session));
    service.note('t', run, { early: true });
    await flush();
    await restart();
    expect(service.runs('t')).toEqual([]);
  });

  it('of another key’s run, or of none, changes nothing', async () => {
    const run = await create();
    service.note('t', run, { mine: true });
    service.note('o', run, { mine: false });
    service.note('t', 'nobody', {});
    expect(noteOf(run)).toEqual({ mine: true });
  });
});

describe('a run that is ended', () => {
  it('is gone at once and for good, and what waits says so', async () => {
    const [one, two] = [await create(0), await create(1)];
    await service.written(); // both are in the journal
    host.trainer.automatic = false;
    const { run: early } = service.createRun('t', newRun(session, { seqId: 2 }));
    const waits = service.direct.pass('t', early, work);
    service.endRun('t', early);
    await expect(waits).rejects.toMatchObject({ status: 404, message: `run \`${early}\` has ended` });
    service.endRun('t', one);
    expect(service.runs('t').map(({ id }) => id)).toEqual([two]);
    expect(host.trainer.methods().at(-1)).toBe('train_drop');
    expect(() => service.compute('t', { run: one, seqId: 3, work })).toThrow('there is no training run');
    await restart();
    expect(service.runs('t').map(({ id }) => id)).toEqual([two]);
    expect(service.session('t', session).runs).toEqual([two]);
  });

  it('leaves its checkpoints', async () => {
    const run = await create();
    const request = { kind: 'weights', name: 'x', ttlSeconds: null, overwrite: true, userMetadata: null } as const;
    service.save('t', { run, seqId: 1, ...request });
    await flush();
    service.endRun('t', run);
    await restart();
    expect(service.checkpoints.of('t').map(({ path }) => path.run)).toEqual([run]);
  });

  it('is not another key’s to end', async () => {
    const run = await create();
    service.endRun('o', run);
    service.endRun('t', 'nobody');
    expect(service.runs('t').map(({ id }) => id)).toEqual([run]);
  });

  it('makes room for one more of its key', async () => {
    await service.close();
    open({ rules: { runs: 1 } });
    await service.restore();
    session = service.createSession('t', NEW).id;
    const run = await create(0);
    expect(() => service.createRun('t', newRun(session, { seqId: 1 }))).toThrow(
      expect.objectContaining({ status: 400 }),
    );
    service.endRun('t', run);
    service.endRun('t', run);
    await create(1);
    expect(() => service.createRun('t', newRun(session, { seqId: 2 }))).toThrow(
      expect.objectContaining({ status: 400 }),
    );
  });

  it('while it is being made is not what takes its number afterwards', async () => {
    host.trainer.automatic = false;
    const { run } = service.createRun('t', newRun(session));
    await flush();
    service.endRun('t', run);
    service.createRun('t', newRun(session, { rank: 4 }));
    await flush();
    host.trainer.sent[0]?.answer.reject(new Error('too late') as never);
    await flush();
    expect(service.runs('t')).toMatchObject([{ id: run, rank: 4, corrupted: false }]);
  });
});

describe('a session that is silent', () => {
  const limits = (silenceMs: number): ModelLimits => ({ maxRuns: 8, full: false, maxLifeMs: null, silenceMs });

  it('loses its runs when their model says so, before it ends itself', async () => {
    const run = await create();
    host.limited = limits(60_000);
    now = 60_000;
    vi.advanceTimersByTime(10_000);
    expect(service.runs('t')).toHaveLength(1);
    await service.written();
    await service.direct.made('t', run); // which is heard of the session, too
    now = 120_001;
    vi.advanceTimersByTime(10_000);
    expect(service.runs('t')).toEqual([]);
    expect(service.sessions('t')).toHaveLength(1);
    await restart();
    expect(service.runs('t')).toEqual([]);
  });

  it('keeps them by its heartbeats alone, and where no model says anything', async () => {
    await create();
    for (let time = 0; time < 9; time++) {
      now += 30_000;
      service.heartbeat('t', session);
      host.limited = time < 5 ? limits(60_000) : null;
      vi.advanceTimersByTime(10_000);
    }
    now += 200_000;
    vi.advanceTimersByTime(10_000);
    expect(service.runs('t')).toHaveLength(1);
  });

  it('ends after as long as the rules say', async () => {
    await service.close();
    open({ rules: { sessionSilenceMs: 1_000_000 } });
    session = service.createSession('t', NEW).id;
    now += 999_000;
    vi.advanceTimersByTime(10_000);
    expect(service.sessions('t')).toHaveLength(1);
    now += 1_001;
    vi.advanceTimersByTime(10_000);
    expect(service.sessions('t')).toEqual([]);
  });
});

describe('models that clients may ask for', () => {
  it('are all there are, or those that are named; others are as if they were not there', async () => {
    await service.close();
    open({ supported: ['alias/with-slash'] });
    await service.restore();
    session = service.createSession('t', NEW).id;
    expect(service.capabilities().map(({ model }) => model)).toEqual(['alias/with-slash']);
    const words = 'no model `demo` is served here: expected one of `alias/with-slash`';
    expect(() => service.createRun('t', newRun(session))).toThrow(words);
    expect(() => service.createSampler('t', { session, seqId: 0, of: { baseModel: 'demo' } })).toThrow(words);
    expect(service.createSampler('t', { session, seqId: 0, of: { baseModel: 'alias/with-slash' } }).id).toBeTypeOf(
      'string',
    );
  });
});
