/** A gateway with Twinkle's models and samplers, over ranks and engines that tests play. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach } from 'vitest';
import type { TwinkleOffer } from '../../../../src/gateway/types.js';
import { LocalTrainingService } from '../../../../src/training/service.js';
import type { ServiceOptions } from '../../../../src/training/service-options.js';
import { Encoders } from '../../../../src/twinkle/encoders.js';
import { AdaptedModels } from '../../../../src/twinkle/models.js';
import { SampledModels } from '../../../../src/twinkle/samplers.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost } from '../../training/fake-trainer.js';
import { FakeInference } from '../fake-inference.js';
import { gateway, listening } from '../harness.js';

const KEYS = { mode: 'anonymous', keyHashes: [], generatedKey: null } as const;
const MOUNTS = (kind: string) => [
  { name: 'demo', prefixes: [`/api/v1/${kind}/demo`, `/${kind}s/demo`] },
  { name: 'alias/with-slash', prefixes: [`/api/v1/${kind}/alias/with-slash`] },
];

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: { readonly [field: string]: unknown; readonly detail?: string };
}

class Mounted {
  root!: string;
  host!: FakeHost;
  inference!: FakeInference;
  training!: LocalTrainingService;
  app!: FastifyInstance;
  /** Of key `key`. */
  session!: string;

  begin(): void {
    this.root = mkdtempSync(join(tmpdir(), 'twinkle-mounted-'));
  }

  end(): void {
    this.training[Symbol.dispose]();
    rmSync(this.root, { recursive: true, force: true });
  }

  #offer(options: Partial<ServiceOptions>) {
    this.host = new FakeHost();
    this.host.trains = () => true;
    this.host.trainer.files = ['adapter_config.json', 'manifest.json'];
    this.inference = new FakeInference();
    const parts = { inference: this.inference, trainers: this.host, sampling: new FakeSampling() };
    this.training = new LocalTrainingService({ ...parts, checkpointFolder: this.root, nowMs: () => 0, ...options });
    const { training } = this;
    const exports = { check: String, copy: async () => '' };
    const twinkle: TwinkleOffer = {
      models: new AdaptedModels({ training, exports, encoders: new Encoders(training.direct), nowMs: () => 0 }),
      samplers: new SampledModels(training),
      trained: MOUNTS('model'),
      sampled: MOUNTS('sampler'),
    };
    return { inference: this.inference, training, twinkle, auth: KEYS };
  }

  async open(options: Partial<ServiceOptions> = {}): Promise<void> {
    ({ app: this.app } = await gateway(this.#offer(options)));
    this.session = await this.newSession();
  }

  /** On a port. @returns its url */
  async listen(): Promise<string> {
    const { app, url } = await listening(this.#offer({}));
    this.app = app;
    this.session = await this.newSession();
    return url;
  }

  async newSession(): Promise<string> {
    const { body } = await this.send('POST', '/api/v1/twinkle/create_session', {}, { 'x-twinkle-session-id': '' });
    return String(body.session_id);
  }

  readonly headers = (): Record<string, string> => ({
    'twinkle-authorization': 'Bearer key',
    'x-request-id': 'r',
    'x-twinkle-session-id': this.session,
  });

  readonly send = async (
    method: 'GET' | 'POST',
    url: string,
    payload?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const sent = { method, url, headers: { ...this.headers(), ...headers } };
    const answer = await this.app.inject(payload === undefined ? sent : { ...sent, payload });
    return { status: answer.statusCode, headers: answer.headers, body: answer.json() };
  };

  readonly model = (call: string, body: object = {}, headers: Record<string, string> = {}, model = 'demo') =>
    this.send('POST', `/api/v1/model/${model}/twinkle/${call}`, body, headers);

  readonly sampler = (call: string, body: object = {}, headers: Record<string, string> = {}, model = 'demo') =>
    this.send('POST', `/api/v1/sampler/${model}/twinkle/${call}`, body, headers);

  /** Of all that is refused, as the client shows it. */
  readonly detailOf = ({ body }: Answer): string => {
    if (Object.keys(body).join() !== 'detail' || typeof body.detail !== 'string') throw new Error(JSON.stringify(body));
    return body.detail;
  };
}

/** For all tests of a file. */
export function useMounted(): Mounted {
  const mounted = new Mounted();
  beforeEach(() => mounted.begin());
  afterEach(() => mounted.end());
  return mounted;
}
