/** The Twinkle client of PyPI against the CLI: what it asks of the gateway, of a run that was trained through the other API. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { twinklePython } from '../support/layered-python.js';
import { clientScript } from '../support/tinker-client.js';

/** As the same key. */
async function ask(url: string, path: string, body: object): Promise<Record<string, string>> {
  const headers = { 'content-type': 'application/json', 'x-api-key': 'key' };
  for (;;) {
    const answer = await fetch(`${url}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const said = (await answer.json()) as Record<string, string>;
    if (answer.status === 408) continue;
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${JSON.stringify(said)}`);
    if (said.request_id === undefined || path === 'retrieve_future') return said;
    return { ...said, ...(await ask(url, 'retrieve_future', { request_id: said.request_id })) };
  }
}

it('TwinkleClient sees its runs and checkpoints, and is told what is wrong', { timeout: 300_000 }, async () => {
  const python = await twinklePython();
  await using server = await CliServer.ready(['mock', '--engine', 'mock']);
  const { url } = server;
  const { session_id } = await ask(url, 'create_session', {});
  const lora_config = { rank: 4, train_unembed: true, train_mlp: true, train_attn: true };
  const model = { session_id, model_seq_id: 0, base_model: 'mock', lora_config };
  const { model_id: run = '' } = await ask(url, 'create_model', model);
  for (const [at, path] of ['one', 'two'].entries()) {
    await ask(url, 'save_weights', { model_id: run, seq_id: at + 1, path });
  }
  const words = [...clientScript('twinkle_client_tour.py'), url, DEMO_MODEL, run];
  const { stdout } = await promisify(execFile)(python, words, { env: { ...process.env, HF_HUB_OFFLINE: '1' } });
  const heard = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
  const one = `twinkle://${run}/weights/one`;
  expect(heard).toEqual({
    models: ['mock'],
    capacity: { max_loras: 64, used_loras: 1, free_loras: 63 },
    runs: [run],
    page: [1, 1],
    of_model: [run],
    rank: 4,
    last: 'weights/two',
    checkpoints: ['weights/one', 'weights/two'],
    sizes: true,
    path: one,
    twinkle_path: one,
    latest: `twinkle://${run}/weights/two`,
    weights: { training_run_id: run, base_model: 'mock', model_owner: 'me', is_lora: true, lora_rank: 4 },
    deleted: true,
    left: ['weights/two'],
    again: expect.stringMatching(/^404 .*\n.*\nthere is no checkpoint/s),
    nobody: expect.stringMatching(/^404 /),
    unknown_session: expect.stringMatching(/^404 .*create a new one/s),
  });
});
