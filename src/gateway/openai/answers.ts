/** Bodies of the answers that are not streamed. */
import type { ChatPlan } from './chat-request.js';
import type { CollectedPrompt } from './collect-run.js';
import type { CompletionPlan } from './completion-request.js';
import { chatLogprobs, completionLogprobs, promptLogprobs } from './logprobs.js';
import type { Usage } from './run.js';

/** What names an answer. */
export interface AnswerHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  /** Of the engine and its settings; null: not told. */
  readonly fingerprint: string | null;
}

/** The field for it. */
function fingerprintOf({ fingerprint }: AnswerHead): object {
  return fingerprint === null ? {} : { system_fingerprint: fingerprint };
}

/** A `text_completion`: choices of the first prompt, then of the second, and so on. */
export function completionAnswer(
  head: AnswerHead,
  plan: CompletionPlan,
  tokenIds: boolean,
  prompts: readonly CollectedPrompt[],
  usage: Usage,
): object {
  const { echo, logprobs, n } = plan;
  const choices = prompts.flatMap(({ choices: own, info }, prompt) =>
    own.map((choice, index) => ({
      index: prompt * n + index,
      text: (echo ? (info?.text ?? '') : '') + choice.text,
      logprobs:
        logprobs === null
          ? null
          : completionLogprobs([...(echo ? (info?.logprobs ?? []) : []), ...choice.logprobs], logprobs, 0),
      finish_reason: choice.finish,
      stop_reason: choice.stopReason,
      ...(plan.promptLogprobs === null ? {} : { prompt_logprobs: promptLogprobs(info?.logprobs ?? []) }),
      ...(tokenIds ? { token_ids: choice.tokenIds, prompt_token_ids: info?.token_ids ?? null } : {}),
    })),
  );
  return {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
    choices,
    usage,
    ...fingerprintOf(head),
  };
}

/** A `chat.completion`. */
export function chatAnswer(
  head: AnswerHead,
  plan: ChatPlan,
  tokenIds: boolean,
  prompts: readonly CollectedPrompt[],
  usage: Usage,
): object {
  const { logprobs } = plan;
  const info = prompts[0]?.info ?? null;
  const choices = (prompts[0]?.choices ?? []).map((choice, index) => ({
    index,
    message: { role: 'assistant', content: choice.text, refusal: null },
    logprobs: logprobs === null ? null : chatLogprobs(choice.logprobs, logprobs),
    finish_reason: choice.finish,
    stop_reason: choice.stopReason,
    ...(tokenIds ? { token_ids: choice.tokenIds } : {}),
  }));
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    choices,
    usage,
    ...fingerprintOf(head),
    ...(plan.promptLogprobs === null ? {} : { prompt_logprobs: promptLogprobs(info?.logprobs ?? []) }),
    ...(tokenIds ? { prompt_token_ids: info?.token_ids ?? null } : {}),
  };
}
