/** One sample request at an engine. Nothing of it has left this process before it is done, so a replica that breaks costs only time. */
import { asTwinkleError, type TwinkleError } from '../errors.js';
import { DEFAULT_SAMPLING, EMPTY_PROMPT } from '../protocol/defaults.js';
import { encodeSampleResponse } from '../protocol/tinker/sample-response.js';
import type { GenerateEnd, GenerateParams, TokenDelta } from '../protocol/values.js';
import type { Caller, Generation, TokenSink } from '../serving/types.js';
import { failureOf } from './failure.js';
import { SampleCollector } from './sample-result.js';
import type { Generate } from './sampler-source.js';
import type { FutureFailure, FutureResult, SampleRequest } from './types.js';

/** A request under which so many replicas broke is taken for the cause. */
const MAX_LOSSES = 2;

export class SampleRun implements TokenSink {
  #collector: SampleCollector;
  #generation: Generation | null = null;
  #losses = 0;
  #over = false;

  constructor(
    private readonly generate: Generate,
    private readonly request: SampleRequest,
    private readonly caller: Caller,
    private readonly done: (answer: FutureResult | FutureFailure) => void,
  ) {
    this.#collector = new SampleCollector(request);
  }

  /** @throws what `generate` throws */
  start(): void {
    this.#generation = this.generate(paramsOf(this.request), this, this.caller);
  }

  abort(): void {
    this.#over = true;
    this.#generation?.abort();
  }

  delta(delta: TokenDelta): void {
    this.#collector.add(delta);
  }

  end(end: GenerateEnd): void {
    if (this.#over) return;
    try {
      const result = this.#collector.result(end);
      this.#finish({ kind: 'protobuf', bytes: encodeSampleResponse(result) });
    } catch (thrown) {
      this.error(asTwinkleError(thrown));
    }
  }

  error(error: TwinkleError): void {
    if (this.#over) return;
    if (error.code === 'RANK_FAILED' && this.#losses < MAX_LOSSES) {
      this.#losses += 1;
      this.#collector = new SampleCollector(this.request);
      try {
        this.start();
        return;
      } catch (thrown) {
        error = asTwinkleError(thrown);
      }
    }
    this.#finish(failureOf(error));
  }

  #finish(answer: FutureResult | FutureFailure): void {
    this.#over = true;
    this.done(answer);
  }
}

/** The request as engines know it. Log-probabilities are those of the model, whatever the temperature is. */
function paramsOf(request: SampleRequest): GenerateParams {
  const { maxTokens, prompt, seed, stop, temperature, topK, topkPrompt, topkSample, topP } = request;
  const strings = (stop ?? []).filter((one) => typeof one === 'string');
  const ids = (stop ?? []).filter((one) => typeof one === 'number');
  return {
    request_id: `${request.sampler}:${request.seqId}`,
    prompt: { ...EMPTY_PROMPT, token_ids: [...prompt], add_generation_prompt: false, add_special_tokens: false },
    sampling: {
      ...DEFAULT_SAMPLING,
      max_tokens: maxTokens,
      temperature,
      top_p: topP,
      top_k: topK,
      seed,
      stop: strings,
      stop_token_ids: ids,
      include_stop_str_in_output: true,
      ignore_eos: stop !== null && stop.length === 0,
      skip_special_tokens: false,
      logprobs: topkSample,
      prompt_logprobs: request.promptLogprobs || topkPrompt > 0 ? topkPrompt : null,
    },
    n: request.count,
    echo: false,
  };
}
