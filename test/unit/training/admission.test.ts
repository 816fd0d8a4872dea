import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { Admission, type AdmissionLimits, UNLIMITED } from '../../../src/training/admission.js';
import { randomFrom } from '../../support/random.js';

const NONE: AdmissionLimits = {
  ...{ requests: null, tokens: null, windowMs: 1000, maxInputTokens: null },
  ...{ queueTimeoutMs: null, executionTimeoutMs: null },
};

function build(limits: Partial<AdmissionLimits>) {
  const clock = { now: 0 };
  const admission = new Admission({ ...NONE, ...limits }, 'model demo', () => clock.now);
  /** Null: it was let in. */
  const ask = (tenant: string, tokens: number): TwinkleError | null => {
    try {
      admission.admit(tenant, tokens);
      return null;
    } catch (error) {
      if (error instanceof TwinkleError) return error;
      throw error;
    }
  };
  return { clock, ask };
}

describe('at random times', () => {
  const cases = Array.from({ length: 60 }, (_, seed) => seed);

  it.each(cases)('no window of a key holds more than its limits, and all that fits is let in (seed %i)', (seed) => {
    const random = randomFrom(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const requests = random() < 0.8 ? 1 + below(6) : null;
    const tokens = requests === null || random() < 0.8 ? 10 + below(50) : null;
    const windowMs = 1 + below(2000);
    const fractions = random() < 0.5;
    const { ask, clock } = build({ requests, tokens, windowMs });
    const taken: { tenant: string; at: number; tokens: number }[] = [];
    const fits = (tenant: string, at: number, more: number): boolean => {
      const recent = taken.filter((one) => one.tenant === tenant && one.at > at - windowMs);
      const sum = recent.reduce((all, one) => all + one.tokens, 0);
      return (requests === null || recent.length < requests) && (tokens === null || sum + more <= tokens);
    };
    for (let time = 0; time < 300; time++) {
      clock.now += random() < 0.3 ? 0 : (fractions ? random() : below(100) / 100) * windowMs;
      const [tenant, more] = [random() < 0.7 ? 'a' : 'b', below(30)];
      const refusal = ask(tenant, more);
      if (tokens !== null && more > tokens) {
        expect(refusal?.code).toBe('INVALID_REQUEST');
        continue;
      }
      expect(refusal === null, `at ${clock.now}`).toBe(fits(tenant, clock.now, more));
      if (refusal === null) taken.push({ tenant, at: clock.now, tokens: more });
      else {
        // It is exact, to the millisecond: then there is room, and before there is none.
        const after = refusal.retryAfterMs ?? 0;
        expect(fits(tenant, clock.now + after + 1e-6, more)).toBe(true);
        if (after > 1) expect(fits(tenant, clock.now + after - 1 - 1e-6, more)).toBe(false);
      }
    }
    expect(taken.length).toBeGreaterThan(5);
  });
});

describe('a request', () => {
  it('over the limit is 429 with the time after which there is room, and counts for nothing', () => {
    const { ask, clock } = build({ requests: 2, windowMs: 1000 });
    expect([ask('a', 1), ask('a', 1)]).toEqual([null, null]);
    clock.now = 400;
    const refusal = ask('a', 1);
    expect(refusal).toMatchObject({ status: 429, retryAfterMs: 600 });
    expect(refusal?.message).toBe(
      'this key has sent model demo 2 requests in 1 s, which is the limit: wait, and send it again',
    );
    clock.now = 999.5;
    expect(ask('a', 1)?.retryAfterMs).toBe(1);
    clock.now = 1000;
    expect([ask('a', 1), ask('a', 1), ask('a', 1)?.retryAfterMs]).toEqual([null, null, 1000]);
  });

  it('waits for as many others to go as its tokens need', () => {
    const { ask, clock } = build({ tokens: 10, windowMs: 1000 });
    for (const at of [0, 100, 200]) {
      clock.now = at;
      expect(ask('a', 3)).toBeNull();
    }
    expect(ask('a', 1)).toBeNull();
    expect(ask('a', 1)).toMatchObject({ retryAfterMs: 800 });
    expect(ask('a', 4)).toMatchObject({ retryAfterMs: 900 });
    expect(ask('a', 10)).toMatchObject({ retryAfterMs: 1000 });
    expect(ask('a', 0)).toBeNull();
  });

  it('that no window could hold is refused for good', () => {
    const { ask } = build({ tokens: 10, maxInputTokens: 8 });
    expect(ask('a', 8)).toBeNull();
    expect(ask('a', 9)?.message).toBe('9 input tokens are over the 8 that model demo takes in one request: split it');
    expect(build({ tokens: 10 }).ask('a', 11)).toMatchObject({ status: 400, retryAfterMs: null });
  });

  it('of another key is counted apart', () => {
    const { ask } = build({ requests: 1 });
    expect([ask('a', 0), ask('b', 0)]).toEqual([null, null]);
    expect([ask('a', 0)?.status, ask('b', 0)?.status]).toEqual([429, 429]);
  });

  it('is let in without limits', () => {
    const { ask } = build({});
    for (let time = 0; time < 1000; time++) expect(ask('a', 10 ** 9)).toBeNull();
    expect([UNLIMITED.training('x'), UNLIMITED.sampling('x')]).toEqual([null, null]);
  });
});
