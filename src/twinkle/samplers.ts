/** What the sampler routes of Twinkle's API ask: completions of sequences and conversations, from a model or from saved weights. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import { EMPTY_PROMPT } from '../protocol/defaults.js';
import type { GenerateParams, Prompt, TokenDelta } from '../protocol/values.js';
import { readPath } from '../training/checkpoint-path.js';
import type { DirectSource, TrainingService } from '../training/types.js';
import { type Given, shown } from './arguments.js';
import { readInputs } from './features.js';
import { readSampleParams, type SampleParams } from './sample-params.js';
import { type Sampled, SampledInput } from './sampled.js';
import { readTemplate, type Template } from './template.js';
import type { SampleCall, StreamedText, TwinkleSamplers } from './types.js';

const SCHEME = 'twinkle://';
const OTHER_SCHEME = 'tinker://';
/** Of one request. */
const MOST_INPUTS = 4096;
/** That are remembered: sessions end without a word to us. */
const MOST_TEMPLATES = 10_000;

/** One thing to be completed. */
interface Asked {
  readonly input: Given;
  /** Null: a conversation, which the engine encodes. */
  readonly tokens: readonly number[] | null;
  readonly prompt: Prompt;
}

export class SampledModels implements TwinkleSamplers {
  /** By tenant, session and model. */
  readonly #templates = new Map<string, Template>();

  constructor(private readonly training: Pick<TrainingService, 'direct'>) {}

  check(model: string): void {
    const names = this.training.direct.sampled();
    if (names.includes(model)) return;
    const there = names.map((one) => `\`${one}\``).join(', ') || 'none';
    throw new TwinkleError('MODEL_NOT_FOUND', `no model \`${model}\` is sampled from here: there are ${there}`, {
      param: 'model',
    });
  }

  setTemplate(call: Pick<SampleCall, 'tenant' | 'session' | 'model'>, name: unknown, kwargs: Given): void {
    this.check(call.model);
    const template = readTemplate(name, kwargs);
    for (const [param, wanted] of [
      ['max_length', template.maxLength !== null],
      ['truncation_strategy', template.truncation !== 'raise'],
    ] as const) {
      if (wanted)
        throw new TwinkleError(
          'UNSUPPORTED_PARAMETER',
          `a sampler cuts nothing off: leave \`${param}\` out, and send conversations that fit the model`,
          { param },
        );
    }
    this.#templates.set(keyOf(call), template);
    const [oldest] = this.#templates.keys();
    if (this.#templates.size > MOST_TEMPLATES && oldest !== undefined) this.#templates.delete(oldest);
  }

  async sample(call: SampleCall): Promise<readonly Sampled[]> {
    const { params, source } = this.#read(call);
    const asked = this.#admitted(call);
    const begun: { abort(): void }[] = [];
    const abort = (): void => {
      for (const generation of begun) generation.abort();
    };
    call.left?.(abort);
    try {
      const one = (each: Asked) => this.#one(call, source, each, params, (generation) => begun.push(generation));
      return await Promise.all(asked.map(one));
    } catch (error) {
      abort(); // nobody hears of the others any more
      throw error;
    }
  }

  stream(call: SampleCall, sink: StreamedText): { abort(): void } {
    const { params, source } = this.#read(call);
    const [one, ...more] = this.#admitted(call);
    if (one === undefined || more.length > 0 || params.count > 1)
      throw new TwinkleError('INVALID_REQUEST', 'expected one input and one sequence of it, to stream it', {
        param: 'inputs',
      });
    return this.training.direct.generate(call.tenant, source, paramsOf(call, one, params), {
      delta: ({ finish, text }) => sink.delta(text, finish ?? null),
      end: () => sink.end(),
      error: (error) => sink.error(error),
    });
  }

  #read({ adapterName, adapterUri, model, params }: SampleCall): { params: SampleParams; source: DirectSource } {
    this.check(model);
    return { params: readSampleParams(params), source: sourceOf(model, adapterUri, adapterName) };
  }

  #asked(call: SampleCall): readonly Asked[] {
    const list: readonly unknown[] = Array.isArray(call.inputs) ? call.inputs : [call.inputs];
    if (list.length > MOST_INPUTS)
      throw new TwinkleError('INVALID_REQUEST', `expected at most ${MOST_INPUTS} inputs but received ${list.length}`, {
        param: 'inputs',
      });
    const read = readInputs(call.inputs);
    const template = this.#templates.get(keyOf(call)) ?? null;
    if (read.kind === 'features') {
      return read.features.map(({ tokens }, at) => {
        const prompt = {
          ...EMPTY_PROMPT,
          token_ids: [...tokens],
          add_generation_prompt: false,
          add_special_tokens: false,
        };
        return { input: list[at] as Given, tokens, prompt };
      });
    }
    return read.trajectories.map((trajectory) => {
      const { messages, tools } = trajectory;
      const prompt: Prompt = {
        ...EMPTY_PROMPT,
        messages: withSystem([...messages], template?.system ?? null),
        tools: toolsOf(tools),
        chat_template_kwargs: { ...template?.variables },
        // Their template has written what begins a sequence.
        add_special_tokens: false,
      };
      return { input: trajectory, tokens: null, prompt };
    });
  }

  /** Conversations count for no tokens: only engines know how many they are. */
  #admitted(call: SampleCall): readonly Asked[] {
    const asked = this.#asked(call);
    const size = asked.reduce((sum, { tokens }) => sum + (tokens?.length ?? 0), 0);
    this.training.direct.admitSamples(call.tenant, call.model, size);
    return asked;
  }

  async #one(
    call: SampleCall,
    source: DirectSource,
    asked: Asked,
    params: SampleParams,
    begun: (generation: { abort(): void }) => void,
  ): Promise<Sampled> {
    const { logprobs, prompt_logprobs: topkPrompt } = params.sampling;
    const collected = new SampledInput(asked.input, asked.tokens, {
      ...{ count: params.count, topkPrompt },
      logprobs: logprobs !== null,
    });
    return await new Promise((resolve, reject) => {
      const generation = this.training.direct.generate(call.tenant, source, paramsOf(call, asked, params), {
        delta: (delta: TokenDelta) => collected.add(delta),
        end: () => {
          try {
            resolve(collected.result());
          } catch (thrown) {
            reject(asTwinkleError(thrown));
          }
        },
        error: reject,
      });
      begun(generation);
    });
  }
}

function paramsOf(
  { requestId }: SampleCall,
  { prompt, tokens }: Asked,
  { count, sampling }: SampleParams,
): GenerateParams {
  return { request_id: requestId, prompt, sampling: { ...sampling }, n: count, echo: tokens === null };
}

function sourceOf(model: string, uri: string | null, name: string): DirectSource {
  if (uri === null) {
    if (name === '') return { baseModel: model };
    throw new TwinkleError(
      'INVALID_REQUEST',
      `adapter ${shown(name)} has no weights here: save the adapter with is_sampler=True, and send its path as \`adapter_uri\``,
      { param: 'adapter_name' },
    );
  }
  const text = uri.startsWith(SCHEME) ? `${OTHER_SCHEME}${uri.slice(SCHEME.length)}` : uri;
  return { baseModel: model, from: readPath(text, 'adapter_uri') };
}

function toolsOf(tools: unknown): unknown[] | null {
  if (tools === undefined || tools === null) return null;
  if (Array.isArray(tools)) return tools.length === 0 ? null : (tools as unknown[]);
  throw new TwinkleError('INVALID_REQUEST', `expected a list for \`tools\` but received ${shown(tools)}`, {
    param: 'inputs',
  });
}

function withSystem(messages: Given[], system: string | null): unknown[] {
  return system === null || messages[0]?.role !== 'user'
    ? messages
    : [{ role: 'system', content: system }, ...messages];
}

const keyOf = ({ model, session, tenant }: Pick<SampleCall, 'tenant' | 'session' | 'model'>): string =>
  `${tenant}\n${session ?? ''}\n${model}`;
