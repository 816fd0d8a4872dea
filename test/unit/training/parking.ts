/** A service whose ranks have room for one run, on a disk of its own, for tests of what becomes of the others. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, vi } from 'vitest';
import { SILENT } from '../../../src/observability/logger.js';
import type { TrainingRules } from '../../../src/training/limits.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { flush, newRun } from './fake-trainer.js';
import { WeighingHost } from './weighing-trainer.js';

export const NEW_SESSION = { idempotencyKey: null, userMetadata: null, displayName: null };
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
export const work = (forward_only = false) => ({
  loss: 'cross_entropy',
  config: {},
  forward_only,
  tokens: Buffer.alloc(4),
  lengths: [1],
  inputs: [],
});

/** What the test that runs has at hand. */
class Parking {
  readonly log = { ...SILENT, warn: vi.fn() };
  root!: string;
  host!: WeighingHost;
  service!: LocalTrainingService;
  /** Of tenant `t`. */
  session!: string;
  #now = 0;
  readonly #numbers = new Map<string, number>();

  begin(): void {
    this.#now = 0;
    this.root = mkdtempSync(join(tmpdir(), 'twinkle-parking-'));
    this.open();
    this.beginSession();
  }

  async end(): Promise<void> {
    await this.service.close();
    rmSync(this.root, { recursive: true, force: true });
    this.log.warn.mockClear();
  }

  /** Another service on the same disk, with ranks of its own. */
  open(rules: Partial<TrainingRules> = { maxRuns: 1 }): void {
    this.host = new WeighingHost();
    this.service = new LocalTrainingService({
      inference: new FakeInference(),
      trainers: this.host,
      sampling: new FakeSampling(),
      checkpointFolder: join(this.root, 'checkpoints'),
      journalFolder: join(this.root, 'journal'),
      log: this.log,
      rules,
      nowMs: () => this.#now,
    });
  }

  beginSession(): void {
    this.session = this.service.createSession('t', NEW_SESSION).id;
  }

  /** As after kill -9, with what was on disk. */
  readonly restart = async (rules?: Partial<TrainingRules>): Promise<void> => {
    await this.service.written();
    await this.service.close();
    this.open(rules);
    await this.service.restore();
  };

  readonly tick = async (ms: number): Promise<void> => {
    this.#now += ms;
    this.service.heartbeat('t', this.session);
    vi.advanceTimersByTime(10_000);
    await flush();
  };

  /** Number of the next request of a run. */
  readonly next = (run: string): number => {
    const seqId = (this.#numbers.get(run) ?? 0) + 1;
    this.#numbers.set(run, seqId);
    return seqId;
  };

  readonly create = async (seqId: number): Promise<string> => {
    const { run } = this.service.createRun('t', newRun(this.session, { seqId }));
    await flush();
    return run;
  };

  readonly pass = (run: string, forward = false): string =>
    this.service.compute('t', { run, seqId: this.next(run), work: work(forward) });

  readonly step = (run: string): string => this.service.step('t', { run, seqId: this.next(run), adam });

  readonly state = (run: string) => this.service.watch.run(run)?.state;

  readonly paused = (id: string): string | null => this.service.request('t', id)?.paused ?? null;

  readonly answer = (id: string): unknown => {
    const got = this.service.request('t', id)?.answer ?? null;
    if (got === null || 'error' in got) return got;
    return got.kind === 'json' ? JSON.parse(Buffer.from(got.bytes).toString()) : got.kind;
  };

  readonly weightOf = (id: string) => (this.answer(id) as { metrics: Record<string, number> }).metrics['weight:mean'];

  /** What there is of parked runs on disk: of each a folder, and a record. */
  readonly parked = (): string[] => {
    const all = join(this.root, 'checkpoints');
    return existsSync(all)
      ? readdirSync(all, { recursive: true })
          .map(String)
          .filter((name) => /parked\/run(@[^/]+|\.json)$/.test(name))
      : [];
  };
}

/** For all tests of a file. */
export function useParking(): Parking {
  const parking = new Parking();
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    parking.begin();
  });
  afterEach(async () => {
    await parking.end();
    vi.useRealTimers();
  });
  return parking;
}
