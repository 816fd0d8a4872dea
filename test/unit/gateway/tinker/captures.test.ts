/** What the SDK 0.38 and a reference server said to each other, asked of this server: its answers have the same status and fields. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildGateway } from '../../../../src/gateway/server.js';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost, flush } from '../../training/fake-trainer.js';
import { FakeInference } from '../fake-inference.js';
import { gatewayOptions } from '../harness.js';

/** See test/fixtures/README.md. */
interface Exchange {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers?: Record<string, string>;
  /** One of the three; none: no body. */
  readonly json?: unknown;
  readonly protobuf?: string;
  readonly text?: string;
  readonly status: number;
  /** Absent: none. */
  readonly response?: unknown;
}

/** What takes something away comes behind what needs it. */
function ending({ method, path }: Exchange): number {
  if (path.endsWith('/finish')) return 2;
  return method === 'DELETE' && !path.endsWith('/publish') ? 1 : 0;
}

const FILE = new URL('../../../fixtures/tinker-0.38-exchanges.jsonl', import.meta.url);
const EXCHANGES = readFileSync(FILE, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Exchange)
  .sort((one, other) => ending(one) - ending(other));
const KEY = 'tml-test';

interface Difference {
  readonly why: string;
  readonly of: readonly string[];
  readonly status?: number;
  readonly fields?: string;
}

/** Where this server differs on purpose. */
const DIFFERENCES: readonly Difference[] = [
  {
    why: 'A body that breaks its schema is a 400 in all of this server; the SDK repeats neither.',
    of: ['create_model', 'create_session', 'forward_backward', 'optim_step'].map((path) => `POST ${path} 422`),
    status: 400,
  },
  {
    why: '`nope` can be no run, so the path is malformed, not a checkpoint that is missing; the SDK repeats neither.',
    of: ['POST create_sampling_session 404', 'POST load_weights 404'],
    status: 400,
  },
  {
    why: 'What has nothing to say says {}: the SDK takes any 2xx, and reads no body.',
    of: [
      'PUT training_runs/ID:train:0/checkpoints/external_weights/download/ttl 204',
      'PUT training_runs/ID:train:0/checkpoints/weights/one/ttl 204',
      'POST training_runs/ID:train:0/checkpoints/weights/one/publish 204',
      'DELETE training_runs/ID:train:0/checkpoints/weights/one/publish 204',
      'DELETE training_runs/ID:train:0/checkpoints/external_weights/download 204',
      'DELETE training_runs/ID:train:0/checkpoints/sampler_weights/two 204',
      'DELETE training_runs/ID:train:0/checkpoints/weights/one 204',
      'POST sessions/ID/finish 204',
    ],
    status: 200,
  },
  {
    why: 'A path that is no route has no API of its own: it is answered as everywhere in this server.',
    of: ['GET nope 404', 'DELETE training_runs/x/checkpoints/weights%2f..%2f..%2fetc 404'],
    fields: '.detail: missing; .error: new',
  },
  {
    why: 'The architecture is optional, and nobody reads it.',
    of: ['POST get_info 200'],
    fields: '.model_data.arch: null',
  },
  {
    why: 'Metrics of a step are free; the learning rate is what the client sent.',
    of: ['POST retrieve_future 200'],
    fields: '.metrics.learning_rate:mean: missing',
  },
];
const differenceOf = (name: string): Difference | undefined => DIFFERENCES.find(({ of }) => of.includes(name));

let root: string;
let app: FastifyInstance;
let training: LocalTrainingService;
let session: string;
let stepped: string;

async function post(path: string, payload: object): Promise<Record<string, string>> {
  return (await app.inject({ method: 'POST', url: `/api/v1/${path}`, headers: { 'x-api-key': KEY }, payload })).json();
}

/** One run with a checkpoint of each kind, a sampler of one of them, and a step that was made. */
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-captures-'));
  const host = new FakeHost();
  host.trainer.files = ['adapter_model.safetensors', 'adapter_config.json'];
  const parts = {
    inference: new FakeInference(),
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: root,
  };
  training = new LocalTrainingService({ ...parts, nowMs: () => performance.now() });
  const keyHashes = [createHash('sha256').update(KEY).digest('hex')];
  const auth = { mode: 'keys', keyHashes, generatedKey: null } as const;
  app = await buildGateway(gatewayOptions({ inference: parts.inference, training, auth }));
  session = (await post('create_session', { user_metadata: { x: 'y' } })).session_id ?? '';
  const lora = { rank: 8, seed: 11, train_unembed: true, train_mlp: true, train_attn: true };
  const made = await post('create_model', {
    session_id: session,
    model_seq_id: 0,
    base_model: 'demo',
    lora_config: lora,
    user_metadata: { run: 'i' },
  });
  const run = { model_id: made.model_id };
  let seq_id = 0;
  const next = () => ({ ...run, seq_id: ++seq_id });
  await post('save_weights', { ...next(), path: 'one' });
  await post('save_weights_for_sampler', { ...next(), path: 'two' });
  for (const path of ['b0', 'download', 'ext1']) await post('save_weights_external', { ...next(), path });
  stepped = (await post('optim_step', next())).request_id ?? '';
  await flush();
  const model_path = `tinker://${made.model_id}/sampler_weights/two`;
  await post('create_sampling_session', { session_id: session, sampling_session_seq_id: 0, model_path });
});
afterAll(async () => {
  await app.close();
  training[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** In the words of this world: its session, its model, its request, and numbers that are free in it. */
function here(text: string): string {
  return text
    .replace(UUID, session)
    .replaceAll('test/tiny-qwen3', 'demo')
    .replace(/"req-\d+"/, JSON.stringify(stepped))
    .replace(/"(model_seq_id|sampling_session_seq_id)": ?\d+/, '"$1":9')
    .replace(/:train:\d+/g, ':train:0');
}

function bodyOf({ json, protobuf, text }: Exchange): string | Buffer | undefined {
  if (json !== undefined) return here(JSON.stringify(json));
  // Ids have one length: what is around them stays as it is.
  if (protobuf !== undefined) return Buffer.from(here(Buffer.from(protobuf, 'base64').toString('latin1')), 'latin1');
  return text;
}

/** Where `ours` has not the fields and types of `recorded`. */
function differences(recorded: unknown, ours: unknown, at: string): string[] {
  // Nothing is known of what it is when it is not null.
  if (recorded === null || recorded === undefined) return [];
  if (Array.isArray(recorded)) {
    if (!Array.isArray(ours)) return [`${at}: no list`];
    if (recorded.length > 0 && ours.length === 0) return [`${at}: empty`];
    return ours.flatMap((item, index) => differences(recorded[0], item, `${at}[${index}]`));
  }
  if (typeof recorded !== 'object') return typeof ours === typeof recorded ? [] : [`${at}: ${JSON.stringify(ours)}`];
  if (typeof ours !== 'object' || ours === null) return [`${at}: ${JSON.stringify(ours)}`];
  const theirs = Object.entries(recorded);
  const missing = theirs
    .filter(([name, value]) => value !== null && !(name in ours))
    .map(([name]) => `${at}.${name}: missing`);
  const more = Object.keys(ours).filter((name) => !(name in recorded));
  const inside = theirs.flatMap(([name, value]) =>
    name in ours ? differences(value, (ours as Record<string, unknown>)[name], `${at}.${name}`) : [],
  );
  return [...missing, ...more.map((name) => `${at}.${name}: new`), ...inside];
}

const nameOf = ({ method, path, status }: Exchange): string =>
  `${method} ${path.replace(UUID, 'ID').replace('/api/v1/', '')} ${status}`;

describe('as the reference answers', () => {
  it.each(EXCHANGES.map((exchange) => [nameOf(exchange), exchange] as const))('%s', async (name, exchange) => {
    const { headers = {}, method, path, response, status } = exchange;
    const payload = bodyOf(exchange);
    const answer = await app.inject({
      method,
      url: here(path),
      headers,
      ...(payload === undefined ? {} : { payload }),
    });
    const difference = differenceOf(name);
    expect([answer.statusCode, answer.body]).toEqual([difference?.status ?? status, expect.any(String)]);
    if (response === undefined) return;
    const found = differences(response, answer.json(), '');
    expect(found.join('; ')).toBe(difference?.fields ?? '');
  });
});

it('and nothing is said to differ that does not', () => {
  const names = new Set(EXCHANGES.map(nameOf));
  for (const { fields, of, status, why } of DIFFERENCES) {
    expect([why, status === undefined && fields === undefined]).toEqual([why, false]);
    expect(of.filter((name) => !names.has(name))).toEqual([]);
    for (const name of of) expect(status).not.toBe(Number(name.split(' ').at(-1)));
  }
});
