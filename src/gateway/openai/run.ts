/** One API request at work: its generations, their accounts, and their end by success, error, disconnect or shutdown. */
import type { FastifyReply } from 'fastify';
import type { TwinkleError } from '../../errors.js';
import type { GenerateEnd, GenerateParams, TokenDelta } from '../../protocol/values.js';
import type { Generation, ServedModel } from '../../serving/types.js';
import type { GatewayContext } from '../context.js';
import type { ModelMeter } from '../gateway-metrics.js';
import type { Call } from '../http/call.js';
import type { LiveResponse } from '../sse/live-responses.js';

/** Tokens as OpenAI counts them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Usage of so many tokens. */
export function usageOf(prompt: number, completion: number, cached: number): Usage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

/** Who asks for what. */
export interface RunRequest {
  readonly context: GatewayContext;
  readonly call: Call;
  readonly reply: FastifyReply;
  readonly model: ServedModel;
  /** One per prompt. */
  readonly params: readonly GenerateParams[];
  /** What is generated is not shown or counted. */
  readonly promptOnly: boolean;
}

/** Without what was generated; the prompt and the end stay. */
function promptPart(delta: TokenDelta): TokenDelta {
  return {
    choice: delta.choice,
    text: '',
    token_ids: [],
    ...(delta.logprobs === undefined ? {} : { logprobs: [] }),
    ...(delta.finish === undefined ? {} : { finish: 'length' }),
    ...(delta.prompt === undefined ? {} : { prompt: delta.prompt }),
  };
}

/** Base of streamed and collected answers. */
export abstract class Run implements LiveResponse {
  protected readonly meter: ModelMeter;
  private readonly generations: Generation[] = [];
  private remaining: number;
  private promptTokens = 0;
  private completionTokens = 0;
  private cachedTokens = 0;
  private sawToken = false;
  protected over = false;

  constructor(protected readonly request: RunRequest) {
    this.remaining = request.params.length;
    this.meter = request.context.metrics.model(request.model.names[0] ?? '');
  }

  /** Start every generation, or none: throws what `Inference.generate` throws. */
  start(): void {
    const { call, context, model, params, reply } = this.request;
    const name = model.names[0] ?? null;
    try {
      params.forEach((one, index) => {
        const sink = {
          delta: (delta: TokenDelta) => this.delta(index, delta),
          end: (end: GenerateEnd) => this.end(end),
          error: (error: TwinkleError) => this.error(error),
        };
        this.generations.push(context.inference.generate(name, one, sink, call));
      });
    } catch (error) {
      this.abort();
      throw error;
    }
    context.live.track(reply.raw, this);
  }

  /** One delta of prompt `prompt`. Hot: once per token. */
  protected abstract accept(prompt: number, delta: TokenDelta): void;
  /** Every generation has ended well. */
  protected abstract complete(usage: Usage): void;
  /** Answer with the error, in whatever way is still possible. */
  protected abstract fail(error: TwinkleError): void;
  abstract keepAlive(): void;

  disconnected(): void {
    this.abort();
  }

  shutdown(error: TwinkleError): void {
    this.error(error);
  }

  /** Hold or resume every generation. */
  protected pause(paused: boolean): void {
    for (const generation of this.generations) generation.pause(paused);
  }

  private delta(prompt: number, delta: TokenDelta): void {
    if (this.over) return;
    if (!this.sawToken) {
      this.sawToken = true;
      this.meter.firstToken.observe((performance.now() - this.request.call.startedAt) / 1e3);
    }
    if (this.request.promptOnly) {
      this.accept(prompt, promptPart(delta));
      return;
    }
    this.meter.generatedTokens.value += delta.token_ids.length;
    this.accept(prompt, delta);
  }

  private end(end: GenerateEnd): void {
    if (this.over) return;
    this.promptTokens += end.prompt_tokens;
    this.cachedTokens += end.cached_tokens;
    if (!this.request.promptOnly) this.completionTokens += end.completion_tokens;
    this.meter.promptTokens.value += end.prompt_tokens;
    this.remaining -= 1;
    if (this.remaining > 0) return;
    this.over = true;
    this.complete(usageOf(this.promptTokens, this.completionTokens, this.cachedTokens));
  }

  private error(error: TwinkleError): void {
    if (this.over) return;
    this.abort();
    this.fail(error);
  }

  private abort(): void {
    if (this.over) return;
    this.over = true;
    for (const generation of this.generations) generation.abort();
  }
}
