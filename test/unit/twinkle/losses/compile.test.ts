import { describe, expect, it } from 'vitest';
import { type Feature, readInputs } from '../../../../src/twinkle/features.js';
import { compileForward, compileWork } from '../../../../src/twinkle/losses/compile.js';
import { DEFAULT_LOSS, readLoss } from '../../../../src/twinkle/losses/loss.js';
import { unpack } from '../../../support/twinkle/work.js';

const feature = (tokens: number[], labels: number[] | null): Feature => ({ tokens, labels, anchor: null, padding: 0 });
const sentence = (anchor: boolean | null): Feature => ({ tokens: [7, 8], labels: null, anchor, padding: 0 });
const TWO = [feature([5, 6, 7], [-100, 7, 9]), feature([5, 8], [8, -100])];

describe('cross entropy', () => {
  it('has targets and weights of tokens that count', () => {
    const { denominator, hasLoss, work } = compileWork(DEFAULT_LOSS, TWO, {}, false);
    expect(work).toMatchObject({
      loss: 'twinkle.cross_entropy',
      config: { dft: 0 },
      forward_only: false,
      lengths: [3, 2],
    });
    expect(unpack(work)).toEqual({
      tokens: [
        [5, 6, 7],
        [5, 8],
      ],
      target_tokens: [
        [0, 7, 9],
        [8, 0],
      ],
      weights: [
        [0, 1, 1],
        [1, 0],
      ],
    });
    expect(work.inputs.map(({ dtype, shapes }) => [dtype, shapes])).toEqual([
      ['int64', [[3], [2]]],
      ['float32', [[3], [2]]],
    ]);
    expect([denominator, hasLoss]).toEqual([3, true]);
  });

  it('takes the next tokens for targets only where no gradient is asked for', () => {
    const bare = [feature([5, 6, 7], null)];
    expect(unpack(compileWork(DEFAULT_LOSS, bare, {}, true).work).target_tokens).toEqual([[6, 7, 0]]);
    expect(() => compileWork(DEFAULT_LOSS, bare, {}, false)).toThrow('a loss needs `labels`, and inputs[0] has none');
  });

  it('sends large token ids as they are', () => {
    const { work } = compileWork(DEFAULT_LOSS, [feature([2 ** 31 - 1], [2 ** 31 - 1])], {}, false);
    expect(unpack(work)).toMatchObject({ tokens: [[2 ** 31 - 1]], target_tokens: [[2 ** 31 - 1]] });
  });
});

describe('options of a pass', () => {
  it('travel in the config, if they change anything', () => {
    const kwargs = {
      temperature: 0.5,
      disable_lora: true,
      gradient_accumulation_steps: 4,
      adapter_name: 'a',
      task: 'fused_lm_ce',
    };
    expect(compileWork(DEFAULT_LOSS, TWO, kwargs, true).work.config).toEqual({
      dft: 0,
      temperature: 0.5,
      disable_lora: 1,
    });
    const plain = {
      temperature: 1,
      disable_lora: false,
      return_logits: false,
      router_replay_action: null,
      old_logps: null,
    };
    expect(compileWork(DEFAULT_LOSS, TWO, plain, true).work.config).toEqual({ dft: 0 });
  });

  it('ask for entropies where the loss has use for them', () => {
    const spec = readLoss('GRPOLoss', { entropy_coef: 0.01 });
    expect(compileWork(spec, TWO, { advantages: [1, 2] }, false).work.config).toMatchObject({
      entropy_coef: 0.01,
      entropies: 1,
    });
    expect(compileForward(spec, TWO, {}).work.config).toEqual({ entropies: 1 });
  });
});

describe('losses of a policy', () => {
  const spec = readLoss('GRPOLoss', { beta: 0.5 });

  it('are on policy without old log-probabilities, and without a penalty where there is no reference', () => {
    const { work } = compileWork(spec, TWO, { advantages: [1, -2] }, false);
    expect(work.config).toEqual({ epsilon: 0.2, epsilon_high: 0.2, beta: 0, entropy_coef: 0, on_policy: 1 });
    expect(unpack(work)).toEqual({
      tokens: [
        [5, 6, 7],
        [5, 8],
      ],
      target_tokens: [
        [0, 7, 9],
        [8, 0],
      ],
      weights: [
        [0, 0.25, 0.25],
        [0.5, 0],
      ],
      advantages: [
        [0, 1, 1],
        [-2, 0],
      ],
    });
  });

  it('take old log-probabilities of tokens that count, and a padded reference', () => {
    const kwargs = {
      advantages: [[1], [-2]],
      old_logps: [[-0.5, -0.25], [-1]],
      ref_logps: [
        [9, -2, -3],
        [-4, 9, 9],
      ],
    };
    const { sequences, work } = compileWork(spec, TWO, kwargs, false);
    expect(work).toMatchObject({ loss: 'twinkle.grpo', config: { beta: 0.5, on_policy: 0 } });
    expect(unpack(work)).toMatchObject({
      logprobs: [
        [0, -0.5, -0.25],
        [-1, 0],
      ],
      ref_logprobs: [
        [0, -2, -3],
        [-4, 0],
      ],
    });
    expect(sequences[0]).toEqual({
      labels: [-100, 7, 9],
      old: [0, -0.5, -0.25],
      reference: [0, -2, -3],
      advantages: [0, 1, 1],
      anchor: null,
    });
  });

  it('send no reference that has no factor', () => {
    const kwargs = { advantages: [1, 2], ref_logps: [-1, -2] };
    expect(unpack(compileWork(readLoss('GRPOLoss', {}), TWO, kwargs, false).work).ref_logprobs).toBeUndefined();
  });

  it('say which tokens count to GSPO', () => {
    const { work } = compileWork(readLoss('GSPOLoss', {}), TWO, { advantages: [1, 2] }, false);
    expect(unpack(work).mask).toEqual([
      [0, 1, 1],
      [1, 0],
    ]);
  });

  it('come to nothing without advantages, but the log-probabilities are computed', () => {
    const { denominator, hasLoss, sequences, work } = compileWork(spec, TWO, { old_logps: [-1, -2] }, false);
    expect(work).toMatchObject({ loss: 'twinkle.cross_entropy', config: {}, forward_only: true });
    expect(unpack(work)).toMatchObject({
      target_tokens: [
        [0, 7, 9],
        [8, 0],
      ],
      weights: [
        [0, 0, 0],
        [0, 0],
      ],
    });
    expect([denominator, hasLoss]).toEqual([1, true]);
    expect(sequences[1]?.old).toEqual([-2, 0]);
  });

  it('line data up with padding that was left out', () => {
    const read = readInputs([
      { input_ids: [5, 6, 0, 0], labels: [6, -100, -100, -100], attention_mask: [1, 1, 0, 0] },
      { input_ids: [5, 6, 7, 8], labels: [6, 7, 8, -100] },
    ]);
    const features = read.kind === 'features' ? read.features : [];
    const old_logps = [
      [-1, 9, 9, 9],
      [-1, -2, -3, 9],
    ];
    const { work } = compileWork(spec, features, { advantages: [1, 2], old_logps }, false);
    expect(unpack(work).logprobs).toEqual([
      [-1, 0],
      [-1, -2, -3, 0],
    ]);
  });
});

describe('losses of pairs', () => {
  const dpo = readLoss('DPOLoss', {});

  it('take the result of forward_only for a reference', () => {
    const kwargs = {
      ref_outputs: {
        logps: [
          [9, -1, -2],
          [-3, 9, 9],
        ],
        loss: null,
      },
    };
    const { denominator, work } = compileWork(dpo, TWO, kwargs, false);
    expect(work).toMatchObject({ loss: 'twinkle.dpo', config: { beta: 0.1, loss_type: 'sigmoid', reference_free: 0 } });
    expect(unpack(work)).toEqual({
      tokens: [
        [5, 6, 7],
        [5, 8],
      ],
      target_tokens: [
        [0, 7, 9],
        [8, 0],
      ],
      mask: [
        [0, 1, 1],
        [1, 0],
      ],
      ref_logprobs: [
        [0, -1, -2],
        [-3, 0],
      ],
    });
    expect(denominator).toBe(1);
    const same = compileWork(dpo, TWO, { ref_logps: kwargs.ref_outputs.logps }, false);
    expect(same.work).toEqual(work);
  });

  it('come to nothing without a reference, unless they do without', () => {
    expect(compileWork(dpo, TWO, {}, false).work).toMatchObject({ loss: 'twinkle.cross_entropy', forward_only: true });
    expect(compileWork(dpo, TWO, { ref_outputs: { logps: null } }, false).work.loss).toBe('twinkle.cross_entropy');
    const free = compileWork(readLoss('DPOLoss', { reference_free: true }), TWO, {}, false).work;
    expect(free).toMatchObject({ loss: 'twinkle.dpo', forward_only: false });
    expect(unpack(free).ref_logprobs).toBeUndefined();
  });

  it.each(['SimPOLoss', 'CPOLoss', 'ORPOLoss'])('%s keeps a reference for metrics alone', (name) => {
    const { sequences, work } = compileWork(readLoss(name, {}), TWO, { ref_logps: [[-1, -2], [-3]] }, false);
    expect(Object.keys(unpack(work))).toEqual(['tokens', 'target_tokens', 'mask']);
    expect(sequences[0]?.reference).toEqual([0, -1, -2]);
  });
});

describe('contrasts', () => {
  it('say which sentences begin a group', () => {
    const features = [sentence(true), sentence(false), sentence(true), sentence(false)];
    const { denominator, work } = compileWork(
      readLoss('infonce', {}),
      features,
      { task: 'embedding', temperature: 2 },
      false,
    );
    expect(work).toMatchObject({
      loss: 'twinkle.infonce',
      config: { temperature: 0.1, use_batch: 1 },
      forward_only: false,
    });
    expect(unpack(work)).toEqual({ tokens: features.map(() => [7, 8]), anchor: [[1], [0], [1], [0]] });
    expect(denominator).toBe(1);
  });
});

describe('a pass without a loss', () => {
  it('computes log-probabilities, whatever the loss of the adapter is and however many inputs there are', () => {
    const { denominator, hasLoss, work } = compileForward(readLoss('DPOLoss', {}), [feature([5, 6], null)], {
      disable_lora: true,
    });
    expect(work).toMatchObject({ loss: 'twinkle.cross_entropy', config: { disable_lora: 1 }, forward_only: true });
    expect(unpack(work)).toEqual({ tokens: [[5, 6]], target_tokens: [[6, 0]], weights: [[0, 0]] });
    expect([denominator, hasLoss]).toEqual([0, false]);
  });

  it('computes embeddings', () => {
    const { task, work } = compileForward(DEFAULT_LOSS, [sentence(null)], { task: 'embedding' });
    expect(work).toMatchObject({ loss: 'twinkle.embedding', config: {}, forward_only: true, inputs: [] });
    expect(task).toBe('embedding');
  });

  it('keeps what metrics want', () => {
    const { sequences } = compileForward(DEFAULT_LOSS, TWO, { old_logps: [-1, -2], advantages: [1, 2] });
    expect(sequences[0]).toMatchObject({ old: [0, -1, -1], advantages: [0, 1, 1] });
  });
});

describe('what is refused', () => {
  const grpo = readLoss('GRPOLoss', {});
  const dpo = readLoss('DPOLoss', {});
  const infonce = readLoss('InfonceLoss', {});
  const refusals: [string, () => unknown, string][] = [
    [
      'the base model, to be trained',
      () => compileWork(DEFAULT_LOSS, TWO, { disable_lora: true }, false),
      '`disable_lora` asks the base model, which is not trained; use forward_only',
    ],
    [
      'data of another loss',
      () => compileWork(DEFAULT_LOSS, TWO, { advantages: [1, 2] }, false),
      'a pass with CrossEntropyLoss has no argument `advantages`; it takes temperature,',
    ],
    [
      'a mistyped argument',
      () => compileWork(grpo, TWO, { advantage: [1, 2] }, false),
      'a pass with GRPOLoss has no argument `advantage`; did you mean `advantages`?',
    ],
    ['logits', () => compileWork(grpo, TWO, { return_logits: true }, false), 'whole rows of logits are never held'],
    ['experts', () => compileWork(grpo, TWO, { router_replay_action: 'record' }, false), 'experts are chosen anew'],
    [
      'a temperature of 0',
      () => compileForward(grpo, TWO, { temperature: 0 }),
      'expected a finite number above 0 for `temperature` of forward_only but received 0',
    ],
    [
      'another task',
      () => compileForward(grpo, TWO, { task: 'classify' }),
      'expected "causal_lm" or "embedding" or "fused_lm_ce" for `task`',
    ],
    [
      'half a pair',
      () => compileWork(dpo, TWO.slice(1), {}, false),
      'expected pairs, a chosen sequence and then its rejected one, for DPOLoss but received 1 inputs',
    ],
    [
      'a sum for a reference',
      () => compileWork(dpo, TWO, { ref_logps: [-4, -5] }, false),
      'for `ref_logps` of sequence 0 but received 1',
    ],
    [
      'sums of sides',
      () => compileWork(dpo, TWO, { ref_chosen_logps: [-4] }, false),
      'send `ref_logps`, of each token',
    ],
    [
      'outputs that are none',
      () => compileWork(dpo, TWO, { ref_outputs: [1] }, false),
      'expected the result of forward_only, an object with `logps` for `ref_outputs`',
    ],
    [
      'a contrast of tokens',
      () => compileWork(infonce, TWO, {}, false),
      'expected `task` "embedding" with InfonceLoss but received "causal_lm"',
    ],
    [
      'a likelihood of sentences',
      () => compileWork(grpo, TWO, { task: 'embedding' }, false),
      'expected `task` "causal_lm" with GRPOLoss but received "embedding"',
    ],
    [
      'a contrast without anchors',
      () => compileWork(infonce, [sentence(true), sentence(null)], { task: 'embedding' }, false),
      'InfonceLoss needs `labels` of each input, [1] for an anchor or [0], and inputs[1] has none',
    ],
  ];
  it.each(refusals)('%s', (_, compile, message) => {
    expect(compile).toThrow(message);
    expect(compile).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
