/** `AdaptedModels` over a training service whose ranks the test plays. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { ServiceOptions } from '../../../src/training/service-options.js';
import type { Given } from '../../../src/twinkle/arguments.js';
import { Encoders } from '../../../src/twinkle/encoders.js';
import { AdaptedModels } from '../../../src/twinkle/models.js';
import type { AdapterMethod } from '../../../src/twinkle/types.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from '../training/fake-sampling.js';
import { FakeHost } from '../training/fake-trainer.js';

export const LORA = JSON.stringify({
  r: 4,
  lora_alpha: 16,
  target_modules: 'all-linear',
  _TWINKLE_TYPE_: 'LoraConfig',
});

class Served {
  root!: string;
  host!: FakeHost;
  service!: LocalTrainingService;
  models!: AdaptedModels;
  /** Of tenant `t`. */
  session!: string;
  nowMs = 0;
  /** Copies that clients asked for. */
  readonly copies: string[] = [];

  begin(): void {
    this.nowMs = 0;
    this.copies.length = 0;
    this.root = mkdtempSync(join(tmpdir(), 'twinkle-models-'));
    this.open();
    this.session = this.newSession();
  }

  async end(): Promise<void> {
    await this.service.close();
    rmSync(this.root, { recursive: true, force: true });
  }

  newSession(tenant = 't'): string {
    return this.service.createSession(tenant, { idempotencyKey: null, userMetadata: null, displayName: null }).id;
  }

  open(options: Partial<ServiceOptions> = {}): void {
    this.host = new FakeHost();
    this.host.trainer.files = ['adapter_config.json', 'manifest.json'];
    const parts = { inference: new FakeInference(), sampling: new FakeSampling(), trainers: this.host };
    const [checkpointFolder, journalFolder] = ['checkpoints', 'journal'].map((name) => join(this.root, name));
    const folders = { checkpointFolder: checkpointFolder ?? '', journalFolder: journalFolder ?? '' };
    this.service = new LocalTrainingService({ ...parts, ...folders, nowMs: () => this.nowMs, ...options });
    const exports = {
      check: (folder: unknown) => String(folder),
      copy: async (files: readonly { name: string }[], folder: string, below: readonly string[]) => {
        const target = [folder, ...below].join('/');
        this.copies.push(`${target}: ${files.map(({ name }) => name).join(' ')}`);
        return target;
      },
    };
    this.models = new AdaptedModels({
      ...{ training: this.service, exports, nowMs: () => this.nowMs },
      encoders: new Encoders(this.service.direct),
    });
  }

  /** As after kill -9, with what was on disk. */
  readonly restart = async (options: Partial<ServiceOptions> = {}): Promise<void> => {
    await this.service.written();
    await this.service.close();
    this.open(options);
    await this.service.restore();
  };

  readonly owner = (change: object = {}) => ({ tenant: 't', session: this.session, model: 'demo', ...change });

  readonly add = (adapter = 'default', kwargs: Given = {}, change: object = {}): Promise<string> =>
    this.models.add({ ...this.owner(change), adapter, kwargs: { config: LORA, ...kwargs } });

  readonly call = (method: AdapterMethod, kwargs: Given = {}, adapter = 'default', change: object = {}) =>
    this.models.call(method, { ...this.owner(change), adapter, kwargs }) as Promise<never>;

  /** Names of the calls that ranks had, with the last word of their run. */
  readonly sent = (): string[] =>
    this.host.trainer.sent.map(({ method, params }) => {
      const { run, works } = params as { run?: string; works?: { run: string }[] };
      return `${method.slice('train_'.length)} ${(run ?? works?.[0]?.run ?? '').split(':').at(-1)}`;
    });
}

/** For all tests of a file. */
export function useServed(): Served {
  const served = new Served();
  beforeEach(() => served.begin());
  afterEach(() => served.end());
  return served;
}
