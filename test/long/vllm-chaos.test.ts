import { expect, it } from 'vitest';
import { killRanks, leftBehind } from '../support/vllm-load/chaos.js';
import { LoadMix } from '../support/vllm-load/mix.js';
import { VllmLoraServer } from '../support/vllm-load/server.js';

it('30 random kills of vLLM ranks, one of the template, under load with adapters', async () => {
  await using server = await VllmLoraServer.start(40);
  const mix = new LoadMix(server.url, 1);
  await mix.learn();
  const startedAt = performance.now();
  mix.start(6);
  const faults = await killRanks(server, mix, { kills: 30, seed: 1, template: true });
  const { cut, refused, whole } = mix.tally;
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
  console.log(`${minutes} min: ${whole} whole, ${cut} cut, ${refused} refused`, Object.fromEntries(mix.tally.byName));
  expect(faults).toEqual([]);
  expect(cut).toBeGreaterThan(0);
  expect(whole).toBeGreaterThan(100);
  expect(await leftBehind(server)).toEqual([]);
});
