/** Chunks of a completion stream as ready-made text, with the echoed prompt before the first text of each choice. */
import type { PromptInfo, TokenDelta, TokenLogprob } from '../../protocol/values.js';
import { type ChunkOptions, chunkEnds, chunkHead, RunningUsage, usageChunk } from './chat-chunks.js';
import { codePoints, completionLogprobs } from './logprobs.js';
import type { Usage } from './run.js';
import type { ChunkRenderer } from './stream-run.js';

/** Also what completions alone can ask for. */
interface CompletionChunkOptions extends ChunkOptions {
  readonly prompts: number;
  readonly echo: boolean;
}

export class CompletionChunks implements ChunkRenderer {
  private readonly head: string;
  /** Per choice over all prompts, up to the text. */
  private readonly texts: readonly string[];
  private readonly tail: string;
  private readonly end: string;
  private readonly last: string;
  private readonly plain: boolean;
  private readonly running = new RunningUsage();
  private readonly info: (PromptInfo | undefined)[] = [];
  /** Per choice: whether it has begun, and how much text it has (for `text_offset`). */
  private readonly begun: boolean[] = [];
  private readonly length: number[] = [];

  constructor(private readonly options: CompletionChunkOptions) {
    const { continuousUsage, echo, logprobs, n, prompts, tokenIds } = options;
    this.head = chunkHead('text_completion', options);
    this.texts = Array.from({ length: n * prompts }, (_, index) => `${this.head}{"index":${index},"text":`);
    ({ end: this.end, last: this.last } = chunkEnds(options));
    this.tail = `,"logprobs":null,"finish_reason":null}${this.end}`;
    this.plain = logprobs === null && !continuousUsage && !tokenIds && !echo;
  }

  open(): string {
    return '';
  }

  delta(prompt: number, delta: TokenDelta): string {
    const { choice, finish, text } = delta;
    if (this.plain && finish === undefined) {
      if (text === '') return '';
      return (this.texts[prompt * this.options.n + choice] as string) + JSON.stringify(text) + this.tail;
    }
    return this.detailed(prompt, delta);
  }

  close(usage: Usage): string {
    return this.options.includeUsage ? usageChunk(this.head, usage, this.options) : '';
  }

  private detailed(prompt: number, delta: TokenDelta): string {
    const { continuousUsage, echo, tokenIds } = this.options;
    const index = prompt * this.options.n + delta.choice;
    if (delta.prompt !== undefined) this.info[prompt] = delta.prompt;
    const first = this.begun[index] !== true;
    this.begun[index] = true;
    const usage = continuousUsage ? this.running.add(prompt, delta) : null;
    const info = first ? this.info[prompt] : undefined;
    const text = echo && info !== undefined ? info.text + delta.text : delta.text;
    if (text === '' && delta.finish === undefined && delta.token_ids.length === 0) return '';
    const logprobs = this.logprobs(index, echo ? (info?.logprobs ?? []) : [], delta.logprobs ?? []);
    if (logprobs !== null) this.length[index] = (this.length[index] ?? 0) + codePoints(text);
    const ids = tokenIds ? `,"token_ids":${JSON.stringify(delta.token_ids)}` : '';
    const promptIds = tokenIds && info !== undefined ? `,"prompt_token_ids":${JSON.stringify(info.token_ids)}` : '';
    const reason = JSON.stringify(delta.finish ?? null);
    const stop = delta.finish === undefined ? '' : `,"stop_reason":${JSON.stringify(delta.stop_reason ?? null)}`;
    const plainEnd = delta.finish === undefined ? this.end : this.last;
    const end = usage === null ? plainEnd : `],"usage":${JSON.stringify(usage)}}\n\n`;
    const shown = `${JSON.stringify(text)},"logprobs":${JSON.stringify(logprobs)},"finish_reason":${reason}`;
    return `${this.texts[index] as string}${shown}${stop}${ids}${promptIds}}${end}`;
  }

  private logprobs(index: number, prompt: readonly TokenLogprob[], own: readonly TokenLogprob[]): unknown {
    const { logprobs } = this.options;
    return logprobs === null ? null : completionLogprobs([...prompt, ...own], logprobs, this.length[index] ?? 0);
  }
}
