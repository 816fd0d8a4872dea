import { expect, it } from 'vitest';
import { AtMost } from '../../../src/util/at-most.js';
import { deferred } from '../../../src/util/deferred.js';

it('runs so many at a time, in order, and goes on after a failure', async () => {
  const limit = new AtMost(2);
  const ends = Array.from({ length: 4 }, () => deferred<void>());
  const begun: number[] = [];
  const all = ends.map(({ promise }, at) =>
    limit.run(async () => {
      begun.push(at);
      await promise;
      return at;
    }),
  );
  const settled = Promise.allSettled(all);
  expect(begun).toEqual([0, 1]);
  ends[1]?.reject(new Error('no'));
  await expect(all[1]).rejects.toThrow('no');
  expect(begun).toEqual([0, 1, 2]);
  for (const end of ends) end.resolve();
  await settled;
  expect(begun).toEqual([0, 1, 2, 3]);
  expect(await limit.run(async () => 5)).toBe(5);
});
