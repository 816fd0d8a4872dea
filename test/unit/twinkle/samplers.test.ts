import { beforeEach, describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { GenerateParams } from '../../../src/protocol/values.js';
import type { TokenSink } from '../../../src/serving/types.js';
import type { DirectSource, DirectTraining } from '../../../src/training/types.js';
import { SampledModels } from '../../../src/twinkle/samplers.js';
import type { SampleCall } from '../../../src/twinkle/types.js';

interface Begun {
  readonly source: DirectSource;
  readonly params: GenerateParams;
  readonly sink: TokenSink;
  aborted: boolean;
}

let begun: Begun[];
let admitted: number[];
/** Thrown by the generation of that number. */
let refusals: Map<number, Error>;
let samplers: SampledModels;

beforeEach(() => {
  begun = [];
  admitted = [];
  refusals = new Map();
  const direct = {
    sampled: () => ['demo', 'with/slash'],
    admitSamples: (_tenant: string, _model: string, tokens: number): void => {
      admitted.push(tokens);
    },
    generate: (_tenant: string, source: DirectSource, params: GenerateParams, sink: TokenSink) => {
      const refusal = refusals.get(begun.length);
      if (refusal !== undefined) throw refusal;
      const one: Begun = { source, params, sink, aborted: false };
      begun.push(one);
      return {
        abort: () => {
          one.aborted = true;
        },
        pause: () => {},
      };
    },
  } as unknown as DirectTraining;
  samplers = new SampledModels({ direct });
});

const call = (changes: Partial<SampleCall> = {}): SampleCall => ({
  ...{ tenant: 't', session: 's', model: 'demo', requestId: 'q', inputs: [{ input_ids: [1, 2, 3] }], params: null },
  ...{ adapterUri: null, adapterName: '' },
  ...changes,
});
const at = (index: number): Begun => {
  const one = begun[index];
  if (one === undefined) throw new Error(`generation ${index} was not begun`);
  return one;
};
const USAGE = { prompt_tokens: 3, completion_tokens: 1, cached_tokens: 0 };
function finish(index: number, text = 'x', token = 9): void {
  const { sink } = at(index);
  sink.delta({ choice: 0, text, token_ids: [token], finish: 'stop' });
  sink.end(USAGE);
}

const talk = { messages: [{ role: 'user', content: 'hi' }] };
const PATH = '00000000-0000-0000-0000-000000000000:train:0/sampler_weights/x';

describe('sample', () => {
  it('is one answer for each input, in their order', async () => {
    const answers = samplers.sample(call({ inputs: [{ input_ids: [1] }, { input_ids: [2] }] }));
    finish(1, 'second', 8);
    finish(0, 'first', 7);
    expect((await answers).map(({ sequences }) => sequences[0])).toMatchObject([
      { decoded: 'first', tokens: [7], new_input_feature: { input_ids: [1, 7] } },
      { decoded: 'second', tokens: [8], new_input_feature: { input_ids: [2, 8] } },
    ]);
  });

  it('of one input that is no list is a list of one', async () => {
    const answers = samplers.sample(call({ inputs: { input_ids: [4] } }));
    finish(0);
    expect(await answers).toHaveLength(1);
    expect(at(0).params.prompt.token_ids).toEqual([4]);
  });

  it('tells engines the tokens as they are, and what is asked for', () => {
    void samplers.sample(call({ params: { max_tokens: 5, num_samples: 2, logprobs: 1, prompt_logprobs: 0 } }));
    expect(at(0).params).toMatchObject({
      ...{ request_id: 'q', n: 2, echo: false },
      prompt: { token_ids: [1, 2, 3], add_special_tokens: false, add_generation_prompt: false, messages: null },
      sampling: { max_tokens: 5, logprobs: 1, prompt_logprobs: 0 },
    });
    expect(at(0).source).toEqual({ baseModel: 'demo' });
  });

  it('counts in once, with the tokens of all inputs; conversations count none', () => {
    void samplers.sample(call({ inputs: [{ input_ids: [1, 2] }, { input_ids: [3] }] }));
    void samplers.sample(call({ inputs: [talk, talk] }));
    expect(admitted).toEqual([3, 0]);
    expect(begun).toHaveLength(4);
  });

  it('that is over the limit begins nothing', async () => {
    const { sample } = samplers;
    (samplers as unknown as { training: { direct: { admitSamples(): void } } }).training.direct.admitSamples = () => {
      throw new TwinkleError('OVERLOADED', 'wait');
    };
    await expect(sample.call(samplers, call())).rejects.toThrow('wait');
    expect(begun).toEqual([]);
  });

  it('of which one fails gives the others up', async () => {
    const inputs = [{ input_ids: [1] }, { input_ids: [2] }, { input_ids: [3] }];
    const late = samplers.sample(call({ inputs }));
    at(1).sink.error(new TwinkleError('ENGINE_ERROR', 'broken'));
    await expect(late).rejects.toThrow('broken');
    expect(begun.map(({ aborted }) => aborted)).toEqual([true, true, true]);
    begun.length = 0;
    refusals.set(1, new TwinkleError('CHECKPOINT_NOT_FOUND', 'no such weights'));
    await expect(samplers.sample(call({ inputs }))).rejects.toThrow('no such weights');
    expect(begun[0]?.aborted).toBe(true);
  });

  it('is given up when the client leaves', () => {
    let leave = (): void => {};
    const left = (abort: () => void): void => {
      leave = abort;
    };
    void samplers.sample(call({ inputs: [{ input_ids: [1] }, { input_ids: [2] }], left }));
    expect(begun.map(({ aborted }) => aborted)).toEqual([false, false]);
    leave();
    expect(begun.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it('whose engine leaves out the prompt is an error of the server', async () => {
    const answers = samplers.sample(call({ inputs: [talk] }));
    finish(0);
    await expect(answers).rejects.toMatchObject({ status: 500 });
  });

  it.each([
    [{ inputs: [] }, 'inputs'],
    [{ inputs: 'hi' }, 'inputs[0]'],
    [{ inputs: [{ input_ids: [] }] }, 'inputs[0].input_ids'],
    [{ inputs: [{ input_ids: [1] }, talk] }, 'inputs'],
    [{ inputs: [{ ...talk, tools: 'all' }] }, 'inputs'],
    [{ inputs: Array.from({ length: 4097 }, () => ({ input_ids: [1] })) }, 'inputs'],
    [{ params: { top_p: 2 } }, 'top_p'],
    [{ adapterName: 'default' }, 'adapter_name'],
    [{ adapterUri: 'x' }, 'adapter_uri'],
    [{ adapterUri: 'twinkle://a/b' }, 'adapter_uri'],
  ] as const)('of %j is refused', async (changes, param) => {
    const refusal = expect.objectContaining({ status: 400, param });
    await expect(samplers.sample(call(changes))).rejects.toThrow(refusal);
    expect([begun, admitted]).toEqual([[], []]);
  });

  it('of weights goes by their path, by either of its names', () => {
    const from = { run: PATH.split('/')[0], kind: 'sampler_weights', name: 'x' };
    for (const scheme of ['twinkle', 'tinker'])
      void samplers.sample(call({ adapterUri: `${scheme}://${PATH}`, adapterName: 'any' }));
    expect(begun.map(({ source }) => source)).toEqual([
      { baseModel: 'demo', from },
      { baseModel: 'demo', from },
    ]);
  });

  it('of a model that nothing is sampled from is a 404 that names the others', async () => {
    const message = 'no model `none` is sampled from here: there are `demo`, `with/slash`';
    await expect(samplers.sample(call({ model: 'none' }))).rejects.toMatchObject({ status: 404, message });
    expect(() => samplers.check('none')).toThrow(message);
  });
});

describe('conversations', () => {
  const promptOf = (changes: Partial<SampleCall> = {}) => {
    void samplers.sample(call({ inputs: [talk], ...changes })).catch(() => {});
    return begun.at(-1)?.params.prompt;
  };

  it('are written by the model’s own template, and told back', async () => {
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const answers = samplers.sample(call({ inputs: [{ ...talk, tools, id: 7 }] }));
    expect(at(0).params).toMatchObject({ echo: true, prompt: { ...talk, tools, token_ids: null } });
    const prompt = { token_ids: [4, 5], text: 'hi', logprobs: null };
    at(0).sink.delta({ choice: 0, text: 'yo', token_ids: [6], prompt, finish: 'stop' });
    at(0).sink.end(USAGE);
    expect((await answers)[0]?.sequences[0]?.new_input_feature).toMatchObject({ id: 7, input_ids: [4, 5, 6] });
  });

  it('have what set_template said, of that session, model and key', () => {
    const kwargs = { default_system: 'be brief', enable_thinking: false, model_id: 'demo' };
    samplers.setTemplate(call(), 'Qwen3_5Template', kwargs);
    const system = { role: 'system', content: 'be brief' };
    expect(promptOf()).toMatchObject({
      messages: [system, ...talk.messages],
      chat_template_kwargs: { enable_thinking: false },
    });
    for (const changes of [{ session: 'other' }, { session: null }, { tenant: 'o' }, { model: 'with/slash' }])
      expect(promptOf(changes)).toMatchObject({ ...talk, chat_template_kwargs: {} });
    const own = [{ role: 'system', content: 'mine' }, ...talk.messages];
    expect(promptOf({ inputs: [{ messages: own }] })).toMatchObject({ messages: own });
    samplers.setTemplate(call(), 'Template', {});
    expect(promptOf()).toMatchObject(talk);
  });

  it.each([
    ['Nope', {}, 400],
    [3, {}, 400],
    ['Template', { default_system: 3 }, 400],
    ['Template', { trust_remote_code: true }, 400],
    ['Template', { colour: 'red' }, 400],
    ['Template', { max_length: 10 }, 400],
    ['Template', { truncation_strategy: 'left' }, 400],
  ])('set_template of %j with %j is refused', (name, kwargs, status) => {
    expect(() => samplers.setTemplate(call(), name, kwargs)).toThrow(expect.objectContaining({ status }));
    expect(() => samplers.setTemplate(call({ model: 'none' }), 'Template', {})).toThrow(
      expect.objectContaining({ status: 404 }),
    );
  });
});

describe('a stream', () => {
  it('tells the text as it comes, and can be given up', () => {
    const heard: unknown[] = [];
    const generation = samplers.stream(call({ params: { max_tokens: 3 } }), {
      delta: (text, finish) => heard.push([text, finish]),
      end: () => heard.push('end'),
      error: (error) => heard.push(error.message),
    });
    const { sink } = at(0);
    sink.delta({ choice: 0, text: 'a', token_ids: [1] });
    sink.delta({ choice: 0, text: 'b', token_ids: [2], finish: 'length' });
    sink.end(USAGE);
    expect(heard).toEqual([['a', null], ['b', 'length'], 'end']);
    generation.abort();
    expect([at(0).aborted, admitted]).toEqual([true, [3]]);
  });

  it.each([[{ inputs: [{ input_ids: [1] }, { input_ids: [2] }] }], [{ params: { num_samples: 2 } }]])(
    'of more than one sequence is refused: %j',
    (changes) => {
      const sink = { delta() {}, end() {}, error() {} };
      expect(() => samplers.stream(call(changes), sink)).toThrow('expected one input and one sequence of it');
      expect(begun).toEqual([]);
    },
  );
});
