/** The Tinker SDK trains a model that vLLM serves, and samples what was trained: replaced under what runs, and told again to an engine that was killed. */
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { post } from '../support/http.js';
import { tinkerClient } from '../support/tinker-client.js';

const ARGS = ['demo', '--engine', 'vllm', '--cpu', '--dtype', 'float32', '--max-model-len', '512'];

it('trains and samples through vLLM', async () => {
  await using server = await CliServer.ready([...ARGS, '--enable-lora', '--max-lora-rank', '16']);
  const { child, ended } = await tinkerClient('tinker_vllm.py', server.url);
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await said.next()).value).toBe('ready');

  // Nobody else learns whose weights are there.
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const models = await (await fetch(`${server.url}/v1/models`)).text();
  expect([metrics.includes('vllm:lora_requests_info'), /tinker:\/\//.test(metrics + models)]).toEqual([true, false]);
  expect(server.events.map(({ event }) => event)).not.toContain('recovered');

  const [pid = 0] = await server.rankPids();
  process.kill(pid, 'SIGKILL');
  child.stdin.end('\n');
  const { path, ...seen } = JSON.parse((await said.next()).value as string) as Record<string, unknown>;
  expect((await ended)[0]).toBe(0);
  await server.event('recovered');
  const nothing = expect.closeTo(0, 3);
  expect(seen).toEqual({
    base: expect.not.stringMatching(/zebra/),
    snapshot: expect.stringMatching(/^ The secret word is zebra\./),
    // Float32 in both, the output layer's adapter included: what is left is the order of sums.
    gap: nothing,
    'base again': true,
    'ran on': [400, 400, 400],
    followed: nothing,
    named: nothing,
    'says now': expect.stringMatching(/^ It is a green horse\./),
    'snapshot stays': nothing,
    wide: ['BadRequestError', expect.stringContaining('start the server with --max-lora-rank 32')],
    'told again': [nothing, nothing, nothing],
  });
  // Loaded in the engine under this very name, or one that begins so.
  for (const [url, body] of [
    ['/v1/completions', { prompt: 'a' }],
    ['/v1/responses', { input: 'a' }],
  ] as const) {
    const { status, text } = await post(server.url + url, { model: path, ...body });
    expect([url, status, text]).toEqual([url, 404, expect.stringContaining('does not exist')]);
  }
});
