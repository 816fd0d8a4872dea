/** The order of an adapter's calls, its settings, and what is kept of it. */
import { describe, expect, it } from 'vitest';
import { stateOf } from '../../../src/twinkle/adapter-state.js';
import { flush } from '../training/fake-trainer.js';
import { Bench, SEQUENCE } from './fake-direct.js';

describe('calls of an adapter', () => {
  it('are done one after another, those of two adapters side by side', async () => {
    const bench = new Bench();
    const [one, two] = [bench.adapter(1, 'one'), bench.adapter(1, 'two')];
    const gate = bench.direct.hold();
    const all = [one, two].flatMap((adapter) => [
      adapter.inTurn(() => adapter.forwardBackward(SEQUENCE, {})),
      adapter.inTurn(() => adapter.clipGradNorm({})),
      adapter.inTurn(() => adapter.step({})),
    ]);
    await flush();
    expect(bench.direct.calls).toEqual(['pass one', 'pass two']);
    gate.resolve();
    await Promise.all(all);
    for (const name of ['one', 'two']) {
      const own = bench.direct.calls.filter((call) => call.endsWith(name));
      expect(own).toEqual([`pass ${name}`, `norm ${name}`, `step ${name}`]);
    }
  });

  it('go on behind one that failed, also before it was begun', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    bench.direct.failures.push(new Error('broken'));
    const first = adapter.inTurn(() => adapter.forwardBackward(SEQUENCE, {}));
    const second = adapter.inTurn(() => adapter.setLoss('none such', {}));
    const third = adapter.inTurn(() => adapter.forwardBackward(SEQUENCE, {}));
    await expect(first).rejects.toThrow('broken');
    await expect(second).rejects.toThrow('none such');
    await expect(third).resolves.toMatchObject({ loss: 6 });
    expect(adapter.now.passes).toBe(1);
  });
});

describe('what is kept', () => {
  it('is written after each change, as JSON, and is all there is of an adapter', async () => {
    const bench = new Bench();
    const adapter = bench.adapter(2);
    const changes: [string, () => unknown][] = [
      ['set_loss', () => adapter.setLoss('GRPOLoss', { epsilon: 0.25 })],
      ['set_loss back', () => adapter.setLoss('CrossEntropyLoss', {})],
      ['set_optimizer', () => adapter.setOptimizer('SGD', { lr: 1 })],
      ['set_lr_scheduler', () => adapter.setScheduler('StepLR', { step_size: 1, gamma: 0.5 })],
      ['set_template', () => adapter.setTemplate('Template', { default_system: 'be brief' })],
      ['set_processor', () => adapter.setProcessor('InputProcessor', { padding_side: 'right' })],
      ['add_metric', () => adapter.addMetric('DPOMetric', true, {})],
      ['forward_backward', () => adapter.forwardBackward(SEQUENCE, {})],
      ['forward_only', () => adapter.forwardOnly(SEQUENCE, {})],
      ['forward_backward', () => adapter.forwardBackward(SEQUENCE, { gradient_accumulation_steps: 1 })],
      ['clip_grad_norm', () => adapter.clipGradNorm({})],
      ['step', () => adapter.step({})],
      ['lr_step', () => adapter.lrStep({})],
      ['zero_grad', () => adapter.zeroGrad({})],
      ['calculate_metric', () => adapter.calculateMetric(true)],
    ];
    for (const [name, change] of changes) {
      const before = bench.notes.length;
      await change();
      expect(bench.notes.length, name).toBeGreaterThan(before);
      expect(stateOf(bench.notes.at(-1) ?? null), name).toEqual(adapter.now);
    }
  });

  it('is taken up by another process, which goes on in the middle of a step', async () => {
    const [bench, reference] = [new Bench(), new Bench()];
    const first = bench.adapter(2);
    first.setScheduler('StepLR', { step_size: 1, gamma: 0.5 });
    const unbroken = reference.adapter(2);
    unbroken.setScheduler('StepLR', { step_size: 1, gamma: 0.5 });
    const passes = async (adapter: typeof first, count: number): Promise<void> => {
      for (let pass = 0; pass < count; pass++) {
        await adapter.forwardBackward(SEQUENCE, {});
        await adapter.clipGradAndStep({});
      }
    };
    await passes(first, 3);
    const second = bench.again();
    await passes(second, 1);
    await passes(unbroken, 4);
    expect(bench.direct.steps).toEqual(reference.direct.steps);
    expect(bench.direct.steps.map(({ learning_rate: lr }) => lr)).toEqual([0.5, 0.25]);
    expect(second.calculateMetric(true)).toEqual(unbroken.calculateMetric(true));
  });

  it('of anything else is no adapter', () => {
    expect([null, {}, { kind: 'other', id: 'x' }].map(stateOf)).toEqual([null, null, null]);
  });
});

describe('a checkpoint that is gone on with', () => {
  it('says how far training was; gradient, clip and forward are forgotten', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    await adapter.forward(SEQUENCE, {});
    await adapter.forwardBackward(SEQUENCE, {});
    await adapter.clipGradNorm({});
    adapter.setScheduler('StepLR', { step_size: 1, gamma: 0.5 });
    const scheduler = { ...adapter.now.scheduler, name: 'StepLR', kwargs: { step_size: 1, gamma: 0.5 }, steps: 2 };
    adapter.resume({ passes: 8, accumulation: 4, scheduler });
    expect(adapter.now).toMatchObject({ passes: 8, accumulation: 4, denominator: 0, clip: null });
    await expect(adapter.backward({})).rejects.toThrow('call forward before');
    for (let pass = 0; pass < 4; pass++) await adapter.forwardBackward(SEQUENCE, {});
    await adapter.step({});
    expect(bench.direct.steps).toMatchObject([{ learning_rate: 0.125, gradient_scale: 1 }]);
  });
});

describe('what an adapter says of itself', () => {
  it('is text, with all that was set', () => {
    const adapter = new Bench().adapter(3);
    adapter.setProcessor('InputProcessor', {});
    const text = adapter.describe();
    for (const line of [
      '"r":8',
      '"lora_alpha":32',
      'attention, mlp',
      'Optimizer: Adam',
      'Learning rate: 0.5',
      'steps: 3',
    ])
      expect(text).toContain(line);
    expect(text).toMatch(/Loss: CrossEntropyLoss .*\nTemplate: none\nProcessor: InputProcessor\n/);
  });

  it('as metrics: the learning rate that is set, the norm that was clipped, steps of the passes', async () => {
    const bench = new Bench();
    const adapter = bench.adapter();
    adapter.setScheduler('StepLR', { step_size: 1, gamma: 0.5 });
    await adapter.forwardBackward(SEQUENCE, {});
    await adapter.clipGradAndStep({});
    bench.nowMs = 2000;
    expect(adapter.calculateMetric(true)).toMatchObject({
      'learning rate': '2.500000e-01',
      grad_norm: expect.anything(),
      'total time elapse': '2 seconds',
    });
    expect(adapter.calculateMetric(false)).toMatchObject({ loss: '0.0000', iters: 0 });
  });
});
