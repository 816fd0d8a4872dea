/** A request answered at once: deltas are gathered per choice until every generation has ended. */
import type { TwinkleError } from '../../errors.js';
import type { PromptInfo, TokenDelta, TokenLogprob } from '../../protocol/values.js';
import { Run, type RunRequest, type Usage } from './run.js';

/** All that one choice gained. */
interface CollectedChoice {
  text: string;
  readonly tokenIds: number[];
  readonly logprobs: TokenLogprob[];
  finish: string | null;
  stopReason: string | number | null;
}

/** All that one prompt gained. */
export interface CollectedPrompt {
  info: PromptInfo | null;
  readonly choices: readonly CollectedChoice[];
}

/** Turns what was gathered into the body of the answer. */
type RenderAnswer = (prompts: readonly CollectedPrompt[], usage: Usage) => unknown;

export class CollectRun extends Run {
  private readonly prompts: readonly CollectedPrompt[];

  constructor(
    request: RunRequest,
    private readonly render: RenderAnswer,
  ) {
    super(request);
    this.prompts = request.params.map(({ n }) => ({
      info: null,
      choices: Array.from({ length: n }, () => ({
        text: '',
        tokenIds: [],
        logprobs: [],
        finish: null,
        stopReason: null,
      })),
    }));
  }

  /** A plain HTTP answer has no place for comments. */
  keepAlive(): void {}

  protected accept(prompt: number, delta: TokenDelta): void {
    const collected = this.prompts[prompt] as CollectedPrompt;
    const choice = collected.choices[delta.choice] as CollectedChoice;
    choice.text += delta.text;
    for (const id of delta.token_ids) choice.tokenIds.push(id);
    if (delta.logprobs !== undefined) for (const one of delta.logprobs) choice.logprobs.push(one);
    if (delta.prompt !== undefined) collected.info = delta.prompt;
    if (delta.finish === undefined) return;
    choice.finish = delta.finish;
    choice.stopReason = delta.stop_reason ?? null;
  }

  protected complete(usage: Usage): void {
    const body = JSON.stringify(this.render(this.prompts, usage));
    this.request.reply.header('content-type', 'application/json; charset=utf-8').send(body);
  }

  protected fail(error: TwinkleError): void {
    this.request.reply.send(error);
  }
}
