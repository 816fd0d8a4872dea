/** Tries, parts and failures, over a store that is played; over a real one: test/integration/bucket-checkpoints.test.ts. */
import { expect, it } from 'vitest';
import { BucketTransfer } from '../../../../src/serving/bucket/bucket-transfer.js';
import type { ObjectWrites, WritableStore } from '../../../../src/serving/bucket/s3-objects.js';

const REFUSED = Object.assign(new Error('no'), { name: 'AccessDenied' });
const CUT = Object.assign(new Error('cut'), { code: 'ECONNRESET' });

/** @param failures of the calls, in order; null: it works */
function transfer(...failures: (Error | null)[]): { made: BucketTransfer; said: string[] } {
  const said: string[] = [];
  const call = async (what: string): Promise<void> => {
    said.push(what);
    const failure = failures.shift() ?? null;
    if (failure !== null) throw failure;
  };
  const writes: ObjectWrites = {
    put: (_bucket, key, { bytes }) => call(`put ${key} ${bytes}`),
    putText: (_bucket, key, text) => call(`text ${key} ${text}`),
    copy: (_bucket, from, to) => call(`copy ${from} ${to}`),
    remove: (_bucket, key) => call(`remove ${key}`),
    begin: async (_bucket, key) => {
      await call(`begin ${key}`);
      return {
        put: (number, { bytes, from }) => call(`part ${number} ${from}+${bytes}`),
        copy: (number, source, { bytes, from }) => call(`part ${number} of ${source} ${from}+${bytes}`),
        complete: () => call('complete'),
        abort: () => call('abort'),
      };
    },
  };
  const store = { writes } as unknown as WritableStore;
  const signal = new AbortController().signal;
  const made = new BucketTransfer(store, { bucket: 'b', prefix: 'p' }, signal, { send: 10, copy: 20 });
  return { made, said };
}

it('sends in one piece what is small, and the rest in parts', async () => {
  const { made, said } = transfer();
  await made.upload('a', '/a', 10);
  await made.upload('a', '/a', 21);
  await made.copy('a', 'c', 20);
  await made.copy('a', 'c', 21);
  expect(said).toEqual([
    'put p/a 10',
    ...['begin p/a', 'part 1 0+10', 'part 2 10+10', 'part 3 20+1', 'complete'],
    'copy p/a p/c',
    ...['begin p/c', 'part 1 of p/a 0+20', 'part 2 of p/a 20+1', 'complete'],
  ]);
});

it('tries again what may go better, and not what was refused', async () => {
  const cut = transfer(CUT, CUT);
  await cut.made.writeText('a', 'x');
  expect(cut.said).toHaveLength(3);
  const refused = transfer(REFUSED);
  await expect(refused.made.writeText('a', 'x')).rejects.toMatchObject({
    again: false,
    why: expect.stringMatching(/denies/),
  });
  expect(refused.said).toHaveLength(1);
});

it('does not take for undone what was refused after nobody knows what', async () => {
  const { made } = transfer(CUT, REFUSED);
  await expect(made.writeText('a', 'x')).rejects.toMatchObject({ again: true, why: expect.stringMatching(/denies/) });
});

it('gives up an object of which a part is refused', async () => {
  const { made, said } = transfer(null, null, REFUSED);
  await expect(made.upload('a', '/a', 21)).rejects.toMatchObject({ why: expect.stringMatching(/denies/) });
  expect(said.at(-1)).toBe('abort');
  expect(said).not.toContain('complete');
});
