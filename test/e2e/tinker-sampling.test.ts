/** The Tinker SDK, unmodified, samples from the built-in model; with the vendor's switches as they are, and thrown. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { FlagProxy } from '../support/flag-proxy.js';
import { testPython } from '../support/pythons.js';
import { clientScript } from '../support/tinker-client.js';

const KEY = 'tml-0123456789abcdef';

let server: CliServer;
beforeAll(async () => {
  server = await CliServer.ready(['--cpu', '--api-key', KEY]);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function run(url: string): Promise<unknown> {
  const env = { ...process.env, TINKER_API_KEY: KEY, HF_HUB_OFFLINE: '1' };
  const { stdout } = await promisify(execFile)(
    await testPython(),
    [...clientScript('tinker_sampling.py'), url, DEMO_MODEL],
    {
      env,
    },
  );
  return JSON.parse(stdout);
}

const SEEN = {
  models: ['demo'],
  answer: 'The capital of France is Paris.',
  reason: 'stop',
  same: true,
  ids: ['0', '1'],
  stopped: ['The capital of France', 'stop'],
  endless: [40, 'length'],
  by_id: true,
  logprobs_agree: true,
  prompt_rows: [expect.any(Number), null, 3],
  different: expect.any(Number),
  clone: true,
  too_long: expect.stringContaining('maximum context length is 2048 tokens'),
  not_found: 404,
  wrong_key: 401,
};

it('as it comes', async () => {
  expect(await run(server.url)).toEqual({ ...SEEN, sessions: 1 });
});

it('with one poll for all samples, joined clones, and its other HTTP client', async () => {
  await using proxy = new FlagProxy(server.url, {
    sample_use_retrieve_futures: true,
    sample_join_sampling_session: true,
    use_pyqwest_transport: false,
  });
  expect(await run(await proxy.listen())).toMatchObject(SEEN);
  expect([...proxy.paths]).toEqual(
    expect.arrayContaining(['/api/v1/retrieve_futures', '/api/v1/join_sampling_session']),
  );
});
