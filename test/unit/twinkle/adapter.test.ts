import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { Bench, SEQUENCE } from './fake-direct.js';

const inputs = [SEQUENCE, { input_ids: [1, 2], labels: [2, -100] }];

describe('a step', () => {
  it('is due after every so many passes, and nothing else does anything before', async () => {
    const bench = new Bench();
    const { direct } = bench;
    const adapter = bench.adapter(2);
    adapter.setScheduler('StepLR', { step_size: 1, gamma: 0.5 });
    for (let step = 0; step < 2; step++) {
      await adapter.forwardBackward(inputs, {});
      await adapter.step({});
      await adapter.zeroGrad({});
      adapter.lrStep({});
      await adapter.clipGradAndStep({});
      expect(await adapter.clipGradNorm({})).toBeNull();
      await adapter.forwardBackward(inputs, {});
      await adapter.clipGradAndStep({});
    }
    expect(direct.calls).toEqual(['pass r', 'pass r', 'step r', 'pass r', 'pass r', 'step r']);
    expect(direct.steps.map(({ learning_rate: lr }) => lr)).toEqual([0.5, 0.25]);
  });

  it('never comes of no pass', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.step({});
    await adapter.clipGradAndStep({});
    await adapter.zeroGrad({});
    expect(bench.direct.calls).toEqual([]);
  });

  it('takes the number of passes from any call that says it', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.forwardBackward(inputs, { gradient_accumulation_steps: 2 });
    await adapter.step({});
    expect(bench.direct.calls).toEqual(['pass r']);
    await adapter.step({ gradient_accumulation_steps: 1 });
    expect(bench.direct.calls).toEqual(['pass r', 'step r']);
    await expect(adapter.step({ gradient_accumulation_steps: 0 })).rejects.toThrow('of at least 1');
  });

  it('has all numbers of its optimizer', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    adapter.setOptimizer('SGD', { lr: 0.25, momentum: 0.5, nesterov: true, weight_decay: 0.125 });
    await adapter.forwardBackward(inputs, {});
    await adapter.step({});
    expect(bench.direct.steps).toEqual([
      {
        ...{ kind: 'sgd', learning_rate: 0.25, beta1: 0, beta2: 0, eps: 0, weight_decay: 0.125 },
        ...{ momentum: 0.5, nesterov: true, dampening: 0, grad_clip_norm: 0, gradient_scale: 1, norm_type: 2 },
      },
    ]);
  });

  it('without an optimizer is refused, and so is a scheduler of none', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    const state = { ...adapter.now, optimizer: null };
    bench.notes.push({ kind: 'twinkle-adapter', ...state });
    const bare = bench.again();
    await bare.forwardBackward(inputs, {});
    await expect(bare.step({})).rejects.toThrow('`step` needs an optimizer: call set_optimizer first');
    expect(() => bare.setScheduler('StepLR', { step_size: 1 })).toThrow('`set_lr_scheduler` needs an optimizer');
    expect(bench.direct.calls).toEqual(['pass r']);
  });
});

describe('clipping', () => {
  it('divides the gradient by all tokens since the last step, and only where it is asked for', async () => {
    const bench = new Bench();
    const adapter = bench.adapter(2);
    await adapter.forwardBackward(inputs, {}); // three targets
    await adapter.forwardBackward(SEQUENCE, {}); // two
    expect(await adapter.clipGradNorm({ max_grad_norm: 0.5, norm_type: 1 })).toBe(4);
    await adapter.step({});
    await adapter.forwardBackward(SEQUENCE, {});
    await adapter.forwardBackward(SEQUENCE, {});
    await adapter.step({});
    expect(bench.direct.norms).toEqual([{ gradient_scale: 1 / 5, norm_type: 1 }]);
    expect(bench.direct.steps).toMatchObject([
      { gradient_scale: 1 / 5, grad_clip_norm: 0.5, norm_type: 1 },
      { gradient_scale: 1, grad_clip_norm: 0, norm_type: 2 },
    ]);
  });

  it('and stepping at once: the step clips, then the learning rate moves on', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    adapter.setScheduler('StepLR', { step_size: 1, gamma: 0.5 });
    await adapter.forwardBackward(inputs, {});
    await adapter.clipGradAndStep({ max_grad_norm: 2 });
    expect(bench.direct.calls).toEqual(['pass r', 'step r']);
    expect(bench.direct.steps).toMatchObject([{ learning_rate: 0.5, gradient_scale: 1 / 3, grad_clip_norm: 2 }]);
    expect(adapter.now).toMatchObject({ scheduler: { steps: 1 }, denominator: 0, clip: null, gradNorm: 4 });
  });

  it('is of the gradient as it was: another pass begins it anew', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.forwardBackward(inputs, {});
    await adapter.clipGradNorm({});
    await adapter.forwardBackward(inputs, {});
    await adapter.step({});
    expect(bench.direct.steps).toMatchObject([{ grad_clip_norm: 0, gradient_scale: 1 }]);
  });

  it('goes with the gradient that is forgotten', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.forwardBackward(inputs, {});
    await adapter.clipGradNorm({});
    await adapter.zeroGrad({});
    expect(bench.direct.calls).toEqual(['pass r', 'norm r', 'zero r']);
    expect(adapter.now).toMatchObject({ clip: null, denominator: 0, passes: 1 });
  });

  it.each([
    [{ max_grad_norm: 0 }, 'above 0'],
    [{ norm_type: 0.5 }, 'at least 1'],
    [{ max_norm: 1 }, 'has no argument `max_norm`'],
  ])('with %j is refused in words', async (kwargs, words) => {
    const adapter = new Bench().adapter();
    await expect(adapter.clipGradNorm(kwargs)).rejects.toMatchObject({ status: 400 });
    await expect(adapter.clipGradAndStep(kwargs)).rejects.toThrow(words);
  });
});

describe('a pass', () => {
  it('in parts is the same as one: forward, calculate_loss, backward', async () => {
    const [parts, other] = [new Bench(), new Bench()];
    const apart = parts.adapter();
    const { logps, loss } = await apart.forward(inputs, {});
    expect([logps, loss]).toEqual([
      [
        [-0.5, -0.5, -0.5],
        [-0.5, -0.5, 0],
      ],
      null,
    ]);
    expect(await apart.calculateLoss({})).toBe(6);
    await apart.backward({});
    const whole = other.adapter();
    expect(await whole.forwardBackward(inputs, {})).toMatchObject({ loss: 6, logits: null });
    expect(parts.direct.calls).toEqual(['forward r', 'forward r', 'pass r']);
    expect(parts.direct.works.at(-1)).toEqual(other.direct.works.at(-1));
    expect(apart.now).toMatchObject({ passes: 1, denominator: whole.now.denominator });
  });

  it('back through nothing is refused; through the same once', async () => {
    const adapter = new Bench().adapter();
    await expect(adapter.backward({})).rejects.toThrow('call forward before');
    await expect(adapter.calculateLoss({})).rejects.toThrow('call forward before');
    await adapter.forward(inputs, {});
    await adapter.backward({});
    await expect(adapter.backward({})).rejects.toThrow('call forward before');
  });

  it('forward only counts for nothing but its metrics', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    const before = adapter.now;
    const { loss } = await adapter.forwardOnly(inputs, { disable_lora: true });
    expect(loss).toBeNull();
    expect(bench.direct.works).toMatchObject([{ forward_only: true, config: { disable_lora: 1 } }]);
    expect({ ...adapter.now, metrics: null }).toEqual({ ...before, metrics: null });
    expect(adapter.now.metrics).not.toEqual(before.metrics);
  });

  it('of conversations needs a template, by which ranks encode them', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    const talk = [{ messages: [{ role: 'user', content: 'hi' }] }];
    await expect(adapter.forwardBackward(talk, {})).rejects.toThrow('call set_template first');
    adapter.setTemplate('Template', {});
    await adapter.forwardBackward(talk, {});
    expect(bench.direct.calls).toEqual(['encode all', 'pass r']);
    expect(bench.direct.works[0]?.lengths).toEqual([3]);
  });

  it('that failed leaves the adapter as it was', async () => {
    const bench = new Bench();
    const adapter = bench.adapter(2);
    await adapter.forwardBackward(inputs, {});
    const before = adapter.now;
    bench.direct.failures.push(new TwinkleError('DEADLINE_EXCEEDED', 'waited'));
    await expect(adapter.inTurn(() => adapter.forwardBackward(inputs, {}))).rejects.toThrow('waited');
    expect(adapter.now).toEqual(before);
    await adapter.forwardBackward(inputs, {});
    await adapter.clipGradAndStep({});
    expect(bench.direct.steps).toMatchObject([{ gradient_scale: 1 / 6 }]);
  });
});

describe('a gradient that is gone', () => {
  const dropped = () => new TwinkleError('INVALID_REQUEST', 'it was dropped', { details: { gradientDropped: true } });

  it.each([
    [2, 1, 0],
    [2, 3, 2],
    [2, 4, 2],
    [1, 3, 2],
    [3, 1, 0],
  ])('of %i passes a step, after %i: goes on from %i', async (accumulation, made, left) => {
    const bench = new Bench();
    const adapter = bench.adapter(accumulation);
    for (let pass = 1; pass <= made; pass++) {
      await adapter.forwardBackward(inputs, {});
      if (pass < made) await adapter.step({});
    }
    bench.direct.failures.push(dropped());
    await expect(adapter.inTurn(() => adapter.forwardBackward(inputs, {}))).rejects.toThrow('it was dropped');
    expect(adapter.now).toMatchObject({ passes: left, denominator: 0, clip: null });
    expect(bench.again().now).toEqual(adapter.now);
  });

  it('after a step costs no pass', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.forwardBackward(inputs, {});
    await adapter.step({});
    bench.direct.failures.push(dropped());
    await expect(adapter.inTurn(() => adapter.forwardBackward(inputs, {}))).rejects.toThrow();
    expect(adapter.now).toMatchObject({ passes: 1, denominator: 0 });
  });

  it('for it was not finite: the step counts as taken, and its tokens do not count again', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.forwardBackward(inputs, {});
    await adapter.clipGradNorm({});
    bench.direct.failures.push(new TwinkleError('NON_FINITE', 'the gradient is NaN'));
    await expect(adapter.inTurn(() => adapter.step({}))).rejects.toThrow('NaN');
    expect(adapter.now).toMatchObject({ passes: 1, denominator: 0, clip: null });
    await adapter.forwardBackward(SEQUENCE, {});
    await adapter.clipGradAndStep({});
    expect(bench.direct.steps.at(-1)).toMatchObject({ gradient_scale: 1 / 2 });
  });
});

describe('a pass that was given up while it was computed', () => {
  const late = (begun: boolean) => new TwinkleError('DEADLINE_EXCEEDED', 'too slow', { details: { begun } });
  const made = async (begun: boolean) => {
    const bench = new Bench();
    const adapter = bench.adapter(2);
    await adapter.forwardBackward(inputs, {});
    bench.direct.failures.push(late(begun));
    await expect(adapter.inTurn(() => adapter.forwardBackward(inputs, {}))).rejects.toThrow('too slow');
    return { adapter, bench };
  };

  it('makes the step begin anew: nobody knows what its gradient is', async () => {
    const { adapter, bench } = await made(true);
    expect(bench.again().now).toMatchObject({ unsure: true });
    await adapter.inTurn(() => adapter.forwardBackward(inputs, {}));
    expect(bench.direct.calls).toEqual(['pass r', 'pass r', 'zero r', 'pass r']);
    expect(adapter.now).toMatchObject({ unsure: false, passes: 1 });
    await adapter.forwardBackward(inputs, {});
    await adapter.clipGradAndStep({});
    expect(bench.direct.steps).toMatchObject([{ gradient_scale: 1 / 6 }]);
  });

  it('lets no step be taken with what may be missing', async () => {
    const { adapter, bench } = await made(true);
    await expect(adapter.step({ gradient_accumulation_steps: 1 })).rejects.toThrow(
      'make the passes of this step again',
    );
    expect(bench.direct.calls.slice(2)).toEqual(['zero r']);
    expect(adapter.now).toMatchObject({ unsure: false, passes: 0, denominator: 0 });
  });

  it('is forgotten by zero_grad, too, though no step is due', async () => {
    const { adapter, bench } = await made(true);
    await adapter.zeroGrad({});
    expect(bench.direct.calls.slice(2)).toEqual(['zero r']);
    expect(adapter.now).toMatchObject({ unsure: false, passes: 0 });
  });

  it('or rather before: what was there stays', async () => {
    const { adapter, bench } = await made(false);
    expect(adapter.now).toMatchObject({ unsure: false, passes: 1 });
    await adapter.forwardBackward(inputs, {});
    expect(bench.direct.calls).toEqual(['pass r', 'pass r', 'pass r']);
  });
});

it('a norm that is not finite has the gradient cleared, which looking at it does not', async () => {
  const bench = new Bench();
  const adapter = bench.adapter();
  await adapter.forwardBackward(inputs, {});
  bench.direct.failures.push(new TwinkleError('NON_FINITE', 'the gradient is NaN'));
  await expect(adapter.inTurn(() => adapter.clipGradNorm({}))).rejects.toThrow('NaN');
  expect(bench.direct.calls).toEqual(['pass r', 'norm r', 'zero r']);
  expect(adapter.now).toMatchObject({ denominator: 0, clip: null });
});
