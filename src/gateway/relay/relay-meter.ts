/** What is counted of an answer that the engine writes itself: when its first byte came, the time between its writes, and its own `usage`. */
import type { ModelMeter } from '../gateway-metrics.js';

/** Behind the word `usage` its numbers come within so many characters, in all of vLLM's dialects. */
const WINDOW = 512;
const NEEDLE = '"usage"';
const PROMPT = /"(?:prompt|input)_tokens"\s*:\s*(\d+)/;
const GENERATED = /"(?:completion|output)_tokens"\s*:\s*(\d+)/;

export class RelayMeter {
  #lastWriteMs: number | null = null;
  #prompt = 0;
  #generated = 0;

  /** @param startedAtMs when the request arrived, as `performance.now()` says it */
  constructor(
    private readonly meter: ModelMeter,
    private readonly startedAtMs: number,
  ) {}

  /** The first part of a good answer has come. */
  began(): void {
    this.meter.relayFirstByte.observe((performance.now() - this.startedAtMs) / 1e3);
  }

  /** Events have been written. */
  written(nowMs: number): void {
    if (this.#lastWriteMs !== null) this.meter.betweenTokens.observe((nowMs - this.#lastWriteMs) / 1e3);
    this.#lastWriteMs = nowMs;
  }

  /**
   * Whole events: of several with `usage` the last counts, since each says the sum so far. Inside of a JSON string the quotes would be
   * escaped, so no text of a model is mistaken for it, and nothing has to be parsed.
   */
  sawEvents(text: string): void {
    const at = text.lastIndexOf(NEEDLE);
    if (at >= 0) this.#read(text.slice(at, at + WINDOW));
  }

  /** An answer that is no event stream, whole. */
  sawBody(body: Buffer): void {
    const at = body.lastIndexOf(NEEDLE);
    if (at >= 0) this.#read(body.toString('latin1', at, at + WINDOW));
  }

  /** The answer has ended well. */
  ended(): void {
    this.meter.promptTokens.value += this.#prompt;
    this.meter.generatedTokens.value += this.#generated;
  }

  #read(text: string): void {
    const prompt = PROMPT.exec(text);
    const generated = GENERATED.exec(text);
    // Anthropic's dialect may say them in different events.
    if (prompt !== null) this.#prompt = Number(prompt[1]);
    if (generated !== null) this.#generated = Number(generated[1]);
  }
}
