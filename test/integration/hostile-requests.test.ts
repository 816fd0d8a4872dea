/** Requests that are meant to break a rank: each is answered or refused, and the rank lives on. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TwinkleError } from '../../src/errors.js';
import type { GenerateParams } from '../../src/protocol/values.js';
import type { Gang } from '../../src/supervisor/gang.js';
import { GangKit } from '../support/gang-kit.js';
import { generateParams } from '../support/generate-params.js';

let kit: GangKit;
let gang: Gang;
beforeEach(async () => {
  kit = await GangKit.make();
  gang = kit.gang({ max_num_seqs: 4 }, { breaker: { limit: 1, windowMs: 60_000 } });
  gang.start();
  await kit.until(gang, 'ready');
});
afterEach(async () => {
  await kit[Symbol.asyncDispose]();
});

/** `end`, or the code of the error. */
function outcome(params: GenerateParams): Promise<string> {
  return new Promise((resolve) => {
    gang.lead?.open('generate', params, {
      item() {},
      end: () => resolve('end'),
      error: (error: TwinkleError) => resolve(error.code),
    });
  });
}

describe('a rank', () => {
  it.each(['#', 'a#b', `${'x'.repeat(100)}#`])(
    'answers half a surrogate pair where `#` stands: %j',
    async (pattern) => {
      const text = pattern.replace('#', '\ud83d');
      expect(await outcome(generateParams(text, 4))).toBe('end');
      const messages = [{ role: 'user', content: text, [text]: text }];
      const params = generateParams('', 4);
      expect(await outcome({ ...params, prompt: { ...params.prompt, text: null, messages } })).toBe('end');
      expect(await gang.lead?.call('echo', [text])).toEqual([pattern.replace('#', '\ufffd')]);
      expect(gang.epoch).toBe(1);
    },
  );

  it('refuses more choices than it has places, and serves those that fit', async () => {
    const params = generateParams('go', 4);
    expect(await outcome({ ...params, n: 5 })).toBe('INVALID_REQUEST');
    expect(await outcome({ ...params, n: 4 })).toBe('end');
  });

  it('ends a stream whose reader has stopped reading: it must not keep its place', async () => {
    let tokens = 0;
    await new Promise<void>((resolve, reject) => {
      const handle = gang.lead?.open('generate', generateParams('go', 1000), {
        item: ({ token_ids }) => {
          tokens += token_ids.length;
          handle?.pause(true);
        },
        end: () => resolve(),
        error: reject,
      });
    });
    expect(tokens).toBe(1000);
  });

  it('answers parameters of wrong types', async () => {
    const params = generateParams('go', 4);
    expect(await outcome({ ...params, prompt: null } as unknown as GenerateParams)).toBe('PROTOCOL');
    expect(await outcome({ ...params, n: 1.5 })).toBe('PROTOCOL');
    expect(await outcome(params)).toBe('end');
  });
});
