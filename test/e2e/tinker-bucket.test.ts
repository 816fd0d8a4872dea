/** Checkpoints in a bucket of a real S3 server: the server is killed and its home wiped; another one goes on with them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CliServer, runCli } from '../support/cli.js';
import { HoldingProxy } from '../support/holding-proxy.js';
import { Moto } from '../support/moto.js';
import { tinkerClient } from '../support/tinker-client.js';
import { asample, wireGet, wirePost } from '../support/tinker-wire.js';

const ADAM = { learning_rate: 0.001 };
let moto: Moto;
let home: string;
beforeAll(async () => {
  moto = await Moto.start();
  home = mkdtempSync(join(tmpdir(), 'twinkle-tinker-bucket-'));
});
afterAll(async () => {
  await moto[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

/** A client of one server. */
class Client {
  constructor(private readonly url: string) {}

  async send(path: string, body: object): Promise<Record<string, unknown>> {
    const { status, text } = await wirePost(this.url, path, body);
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** What the request comes to. */
  async ask(path: string, body: object): Promise<string> {
    const { request_id } = await this.send(path, body);
    for (;;) {
      const { status, text } = await wirePost(this.url, 'retrieve_future', { request_id });
      if (status === 200) return text;
      if (status !== 408) throw new Error(`${path}: ${status} ${text}`);
    }
  }

  async names(): Promise<unknown[]> {
    const { checkpoints } = await wireGet(this.url, 'checkpoints');
    return (checkpoints as { checkpoint_id: string }[]).map(({ checkpoint_id }) => checkpoint_id);
  }

  async get(path: string): Promise<Record<string, unknown>> {
    return await wireGet(this.url, path);
  }
}

const serve = (url: string): Promise<CliServer> =>
  CliServer.ready(['mock', '--engine', 'mock', '--checkpoint-store', moto.place('runs')], {
    TWINKLE_HOME: home,
    ...moto.env,
    AWS_ENDPOINT_URL_S3: url,
  });

it('what was saved outlives kill -9 and its disk; what was being saved never was', async () => {
  await using proxy = new HoldingProxy(
    moto.url,
    ({ method, url = '' }) => method === 'PUT' && /\/torn\.json(\?|$)/.test(url),
  );
  await using first = await serve(await proxy.start());
  const before = new Client(first.url);
  const { session_id } = await before.send('create_session', {});
  const spec = { session_id, model_seq_id: 0, base_model: 'mock', lora_config: { rank: 8, seed: 1 } };
  const { model_id } = await before.send('create_model', spec);
  for (const seq_id of [1, 2]) await before.ask('optim_step', { model_id, seq_id, adam_params: ADAM });
  const { path } = JSON.parse(await before.ask('save_weights', { model_id, seq_id: 3, path: 'one' }));
  await before.ask('save_weights_external', { model_id, seq_id: 4, path: 'out' });
  await before.send('save_weights', { model_id, seq_id: 5, path: 'torn' });
  await proxy.held; // its files are there, and its record is not
  expect((await moto.keys('runs')).some((key) => key.includes('/torn@'))).toBe(true);
  process.kill(first.pid, 'SIGKILL');
  await first.ended;
  rmSync(home, { recursive: true });

  await using second = await serve(moto.url);
  const client = new Client(second.url);
  expect(await client.names()).toEqual(['weights/one', 'external_weights/out']);
  const session = (await client.send('create_session', {})).session_id;
  const load = { session_id: session, model_seq_id: 0, path, optimizer: true };
  const { model_id: resumed } = JSON.parse(await client.ask('load_weights', load));
  const step = await client.ask('optim_step', { model_id: resumed, seq_id: 1, adam_params: ADAM });
  expect(JSON.parse(step).metrics).toEqual({ 'step:max': 3 });
  const sampler = { session_id: session, sampling_session_seq_id: 0, model_path: path };
  const { sampling_session_id } = await client.send('create_sampling_session', sampler);
  const asked = await wirePost(second.url, 'asample', asample(String(sampling_session_id), 0, 2));
  const { request_id } = JSON.parse(asked.text);
  expect((await wirePost(second.url, 'retrieve_future', { request_id })).type).toBe('application/x-protobuf');
  const listed = `training_runs/${model_id}/checkpoints/external_weights/out/external_weights_urls`;
  const { urls } = (await client.get(listed)) as { urls: Record<string, string> };
  const file = await fetch(urls['adapter_config.json'] ?? '');
  expect(await file.json()).toEqual({ peft_type: 'LORA', mock_steps: 2 });
  // The disk is not all that a save needs now.
  await moto.deny('s3:PutObject', '*');
  const refused = await client.ask('save_weights', { model_id: resumed, seq_id: 2, path: 'two' });
  await moto.allow();
  expect(JSON.parse(refused)).toMatchObject({ error: expect.stringContaining('denies'), category: 'server' });
  await client.ask('save_weights', { model_id: resumed, seq_id: 3, path: 'two' });
  expect(await client.names()).toHaveLength(3);
});

it('a run of the SDK goes on bit for bit on a machine that has only the bucket', async () => {
  const said = async (half: 'save' | 'resume', input = '{}'): Promise<string> => {
    const env = { ...moto.env, TWINKLE_HOME: join(home, half) };
    await using server = await CliServer.ready(['--cpu', '--checkpoint-store', moto.place('sdk')], env);
    const { child, ended } = await tinkerClient('tinker_bucket.py', server.url, half);
    child.stdin.end(`${input}\n`);
    const output = await text(child.stdout);
    expect((await ended)[0]).toBe(0);
    return output;
  };
  const saved = await said('save');
  expect(JSON.parse(await said('resume', saved.trim()))).toEqual({ same: true, sampled: true });
});

it('a bucket that cannot be used ends the start, and says why', async () => {
  const args = ['serve', 'mock', '--engine', 'mock', '--port', '0', '--checkpoint-store', 's3://nobodys/x'];
  const { code, stderr } = await runCli(args, { TWINKLE_HOME: home, ...moto.env });
  expect([code, stderr]).toEqual([1, expect.stringContaining('`s3://nobodys/x`: the bucket does not exist')]);
  expect(stderr).not.toMatch(/geheim|AKIA/);
  const nowhere = { ...moto.env, AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' };
  const unreachable = await runCli(args, { TWINKLE_HOME: home, ...nowhere });
  expect([unreachable.code, unreachable.stderr]).toEqual([1, expect.stringContaining('ECONNREFUSED')]);
});
