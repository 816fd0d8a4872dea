/** An adapter whose run goes off its ranks for others, with a gradient that no step has used. */
import { expect, it } from 'vitest';
import { Encoders } from '../../../src/twinkle/encoders.js';
import { AdaptedModels } from '../../../src/twinkle/models.js';
import type { AdapterMethod } from '../../../src/twinkle/types.js';
import { flush } from '../training/fake-trainer.js';
import { useParking } from '../training/parking.js';
import { SEQUENCE } from './fake-direct.js';

const parking = useParking();
const IDLE_MS = 60_000;

async function open() {
  await parking.service.close();
  parking.open({ maxRuns: 1, idleMs: IDLE_MS });
  parking.beginSession();
  return models();
}

function models() {
  const { service: training, session } = parking;
  const exports = { check: String, copy: async () => '' };
  const made = new AdaptedModels({ training, exports, encoders: new Encoders(training.direct), nowMs: () => 0 });
  const of = (adapter: string, kwargs: object) => ({
    ...{ tenant: 't', session, model: 'demo', adapter },
    kwargs: kwargs as Record<string, unknown>,
  });
  return {
    add: (adapter: string, steps: number) =>
      made.add(of(adapter, { config: '{}', gradient_accumulation_steps: steps })),
    call: (adapter: string, method: AdapterMethod, kwargs: object = {}) => made.call(method, of(adapter, kwargs)),
  };
}
const inputs = [SEQUENCE];
const trained = () => parking.host.trainer.calls.filter((call) => /^(pass|step) 0$/.test(call));

it.each(['forward_backward', 'save', 'load', 'clip_grad_norm'] as const)(
  'hears of it once, at %s, and makes the passes of that step again',
  async (first) => {
    const { add, call } = await open();
    await add('a', 2);
    await call('a', 'set_optimizer', { optimizer_cls: 'SGD', lr: 1 });
    const { twinkle_path: name } = (await call('a', 'save', { name: 'before' })) as { twinkle_path: string };
    await call('a', 'forward_backward', { inputs });
    const other = add('b', 1);
    await flush(); // it waits for room
    await parking.tick(IDLE_MS + 1);
    await other;
    const before = trained().length;
    const kwargs = { forward_backward: { inputs }, save: { name: 'x' }, load: { name }, clip_grad_norm: {} }[first];
    const heard = call('a', first, kwargs);
    if (first === 'clip_grad_norm') {
      // No step is due, so the ranks are not asked: the next one hears of it.
      expect(await heard).toEqual({ result: 'None' });
      await expect(call('a', 'forward_backward', { inputs })).rejects.toThrow('the gradient of run');
    } else await expect(heard).rejects.toMatchObject({ status: 400, message: expect.stringContaining('was dropped') });
    await flush();
    for (let pass = 0; pass < 2; pass++) {
      await call('a', 'forward_backward', { inputs });
      await call('a', 'clip_grad_and_step');
    }
    expect(trained().slice(before)).toEqual(['pass 0', 'pass 0', 'step 0']);
  },
);
