/** The Tinker SDK samples from what two ranks trained together: fixed weights, followed ones, named ones; and downloads them. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { tinkerClient } from '../support/tinker-client.js';

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-weights-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

it('samples from what was trained, on every rank alike', async () => {
  await using server = await CliServer.ready(['--cpu', '--train-ranks', '2'], { TWINKLE_HOME: home });
  const downloads = join(home, 'downloads');
  mkdirSync(downloads);
  const { child, ended } = await tinkerClient('tinker_weights.py', server.url, downloads);
  const said = await text(child.stdout);
  expect((await ended)[0]).toBe(0);
  const { base, gap, losses, path, ...seen } = JSON.parse(said) as Record<string, unknown>;
  const [first = 0, last = 0] = [losses as number[]].flatMap((all) => [all[0] ?? 0, all.at(-1) ?? 0]);
  expect([first > 50, last < 2, base !== ' The secret word is zebra.']).toEqual([true, true, true]);
  // The same weights in both engines, in float32: what is left is the order of sums.
  expect(gap).toBeLessThan(1e-3);
  const nothing = expect.closeTo(0, 3);
  expect(seen).toEqual({
    snapshot: expect.stringMatching(/^ The secret word is zebra\./),
    'base again': true,
    followed: nothing,
    'moved on': true,
    'followed now': nothing,
    'snapshot stays': nothing,
    'says now': expect.stringMatching(/^ It is a green horse\./),
    named: nothing,
    'base of named': true,
    'at once': 3,
    files: ['adapter_config.json', 'adapter_model.safetensors'],
    tensors: ['lora_A', 'lora_B'],
    copy: nothing,
    last: [true, true],
    deleted: ['NotFoundError', expect.stringContaining('there is no checkpoint')],
    stranger: ['NotFoundError', expect.stringContaining('there is no checkpoint')],
  });
  expect(path).toMatch(/^tinker:\/\/[0-9a-f-]{36}:train:0\/sampler_weights\/named$/);
  expect(JSON.parse(readFileSync(join(downloads, 'adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    r: 8,
  });
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const agreement = /^twinkle_training_run_sampler_gap\{.*\} (.+)$/m.exec(metrics)?.[1];
  expect(Number(agreement)).toBeLessThan(1e-3);
  // Weights are nobody's whom they were not given to.
  const models = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string }[] };
  expect(models.data.map(({ id }) => id).filter((id) => id.includes('tinker'))).toEqual([]);
});

it('trains a model that is spread over two ranks', async () => {
  const own = join(home, 'sharded');
  await using server = await CliServer.ready(['--cpu', '--train-ranks', '2', '--train-shard'], { TWINKLE_HOME: own });
  const { child, ended } = await tinkerClient('tinker_short.py', server.url);
  const said = await text(child.stdout);
  expect((await ended)[0]).toBe(0);
  expect(JSON.parse(said)).toMatchObject({ learned: true, logprobs: [[7], true], resumed: true, refused: true });
  const folder = join(own, 'logs');
  const logs = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /train\S*rank\d\.log$/.test(name),
  );
  const parts = logs.map((name) =>
    /spread over 2 ranks: (\d+) of (\d+) parameters here/
      .exec(readFileSync(join(folder, name), 'utf8'))
      ?.slice(1)
      .map(Number),
  );
  expect(parts).toHaveLength(2);
  for (const [here = 0, whole = 0] of parts.map((part) => part ?? [])) expect(here / whole).toBeCloseTo(0.5, 2);
});
