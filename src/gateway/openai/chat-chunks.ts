/** Chunks of a chat stream as ready-made text: per token only the text itself is rendered. */
import type { PromptInfo, TokenDelta } from '../../protocol/values.js';
import { chatLogprobs } from './logprobs.js';
import { type Usage, usageOf } from './run.js';
import type { ChunkRenderer } from './stream-run.js';

/** What a stream of chunks shows. */
export interface ChunkOptions {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  /** Of the engine and its settings, said once at the end; null: not told. */
  readonly fingerprint: string | null;
  /** Choices of each prompt. */
  readonly n: number;
  /** Alternatives per token; null: no logprobs. */
  readonly logprobs: number | null;
  readonly includeUsage: boolean;
  /** Usage so far on every chunk. */
  readonly continuousUsage: boolean;
  readonly tokenIds: boolean;
}

/** Usage so far, for `continuous_usage_stats`. */
export class RunningUsage {
  private readonly prompts = new Set<number>();
  private promptTokens = 0;
  private completionTokens = 0;

  add(prompt: number, delta: TokenDelta): Usage {
    if (delta.prompt !== undefined && !this.prompts.has(prompt)) {
      this.prompts.add(prompt);
      this.promptTokens += delta.prompt.token_ids.length;
    }
    this.completionTokens += delta.token_ids.length;
    return usageOf(this.promptTokens, this.completionTokens, 0);
  }
}

/** `data: {"id":…,"choices":[` of every chunk. */
export function chunkHead(object: string, { created, id, model }: ChunkOptions): string {
  const head = JSON.stringify({ id, object, created, model }).slice(0, -1);
  return `data: ${head},"choices":[`;
}

function fingerprintField({ fingerprint }: ChunkOptions): string {
  return fingerprint === null ? '' : `,"system_fingerprint":${JSON.stringify(fingerprint)}`;
}

/** The last event of a stream with usage. */
export function usageChunk(head: string, usage: Usage, options: ChunkOptions): string {
  return `${head}],"usage":${JSON.stringify(usage)}${fingerprintField(options)}}\n\n`;
}

/** What follows the choices of a chunk; `last`: of the choice's last one, where no usage will follow. */
export function chunkEnds(options: ChunkOptions): { readonly end: string; readonly last: string } {
  if (options.includeUsage) return { end: '],"usage":null}\n\n', last: '],"usage":null}\n\n' };
  return { end: ']}\n\n', last: `]${fingerprintField(options)}}\n\n` };
}

export class ChatChunks implements ChunkRenderer {
  private readonly head: string;
  /** Per choice, up to the text. */
  private readonly texts: readonly string[];
  private readonly tail: string;
  private readonly end: string;
  private readonly last: string;
  private readonly plain: boolean;
  private readonly running = new RunningUsage();
  private prompt: PromptInfo | null = null;

  constructor(private readonly options: ChunkOptions) {
    const { continuousUsage, logprobs, n, tokenIds } = options;
    this.head = chunkHead('chat.completion.chunk', options);
    this.texts = Array.from({ length: n }, (_, index) => `${this.head}{"index":${index},"delta":{"content":`);
    ({ end: this.end, last: this.last } = chunkEnds(options));
    this.tail = `},"logprobs":null,"finish_reason":null}${this.end}`;
    this.plain = logprobs === null && !continuousUsage && !tokenIds;
  }

  open(): string {
    return Array.from(
      { length: this.options.n },
      (_, index) =>
        `${this.head}{"index":${index},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}${this.end}`,
    ).join('');
  }

  delta(prompt: number, delta: TokenDelta): string {
    const { choice, finish, text } = delta;
    if (!this.plain) return this.detailed(prompt, delta);
    const content = text === '' ? '' : (this.texts[choice] as string) + JSON.stringify(text) + this.tail;
    return finish === undefined ? content : content + this.finished(delta, this.last);
  }

  close(usage: Usage): string {
    return this.options.includeUsage ? usageChunk(this.head, usage, this.options) : '';
  }

  private finished({ choice, finish, stop_reason }: TokenDelta, end: string): string {
    const reason = `"finish_reason":${JSON.stringify(finish)},"stop_reason":${JSON.stringify(stop_reason ?? null)}`;
    return `${this.head}{"index":${choice},"delta":{},"logprobs":null,${reason}}${end}`;
  }

  private detailed(prompt: number, delta: TokenDelta): string {
    const { continuousUsage, logprobs, tokenIds } = this.options;
    const usage = continuousUsage ? this.running.add(prompt, delta) : null;
    const end = usage === null ? this.end : `],"usage":${JSON.stringify(usage)}}\n\n`;
    const first = tokenIds && this.prompt === null && delta.prompt !== undefined;
    if (first) this.prompt = delta.prompt ?? null;
    let events = '';
    if (delta.text !== '' || delta.token_ids.length > 0) {
      const shown = logprobs === null ? null : chatLogprobs(delta.logprobs ?? [], logprobs);
      const ids = tokenIds ? `,"token_ids":${JSON.stringify(delta.token_ids)}` : '';
      const promptIds = first ? `,"prompt_token_ids":${JSON.stringify(this.prompt?.token_ids)}` : '';
      const closing = promptIds === '' ? end : `]${promptIds}${end.slice(1)}`;
      const choice = `${JSON.stringify(delta.text)}},"logprobs":${JSON.stringify(shown)},"finish_reason":null${ids}}`;
      events = `${this.texts[delta.choice] as string}${choice}${closing}`;
    }
    return delta.finish === undefined ? events : events + this.finished(delta, usage === null ? this.last : end);
  }
}
