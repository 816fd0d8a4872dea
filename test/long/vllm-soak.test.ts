import { expect, it } from 'vitest';
import { LoadMix } from '../support/vllm-load/mix.js';
import { VllmLoraServer } from '../support/vllm-load/server.js';
import { describeCourse, soak } from '../support/vllm-load/soak.js';

/** A leak of 1 MB a minute must show, with room for noise: over 10 minutes the median slope does not follow single collections of garbage. */
const MAX_MB_PER_MINUTE = 0.5;

it('10 minutes of mixed load: memory in use and descriptors of Node and of each rank stand still', async () => {
  await using server = await VllmLoraServer.start(0);
  const mix = new LoadMix(server.url, 2);
  await mix.learn();
  mix.start(6);
  const courses = await soak(server, mix, { warmUpMs: 120_000, forMs: 600_000, everyMs: 4_000 });
  console.log(`${mix.tally.whole} whole\n${courses.map(describeCourse).join('\n')}`);
  expect(mix.tally).toMatchObject({ wrong: [], cut: 0, refused: 0 });
  for (const course of courses) {
    expect(course.growth, describeCourse(course)).toBeLessThan(MAX_MB_PER_MINUTE);
    expect(course.moreDescriptors, describeCourse(course)).toBeLessThan(20);
  }
}, 1_200_000);
