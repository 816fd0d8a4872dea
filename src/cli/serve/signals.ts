/** SIGINT and SIGTERM while `serve` runs: the first asks for a clean end, the second for an end at once. */
import { EXIT } from '../../errors.js';
import type { SignalSource } from '../io.js';

/** Exit codes when a signal forced the end: 128 and the signal's number. */
const FORCED = { SIGINT: 130, SIGTERM: 143 } as const;

type EndSignal = keyof typeof FORCED;

/** Listens from its making until `close`. */
export class EndSignals {
  /** Aborts at the first signal: for work that can only be given up. */
  readonly aborted: AbortSignal;
  /** The first signal. */
  readonly first: Promise<EndSignal>;
  /** The second signal, whichever it is. */
  readonly second: Promise<EndSignal>;
  #seen: EndSignal[] = [];
  readonly #close: () => void;

  constructor(source: SignalSource) {
    const controller = new AbortController();
    this.aborted = controller.signal;
    let first: (signal: EndSignal) => void = () => {};
    let second: (signal: EndSignal) => void = () => {};
    this.first = new Promise((resolve) => {
      first = resolve;
    });
    this.second = new Promise((resolve) => {
      second = resolve;
    });
    const hear = (signal: EndSignal): void => {
      this.#seen.push(signal);
      if (this.#seen.length === 1) {
        first(signal);
        controller.abort(new Error(`interrupted by ${signal}`));
      } else second(signal);
    };
    const listeners = (['SIGINT', 'SIGTERM'] as const).map((signal) => [signal, () => hear(signal)] as const);
    for (const [signal, listener] of listeners) source.on(signal, listener);
    this.#close = () => {
      for (const [signal, listener] of listeners) source.off(signal, listener);
    };
  }

  /** The exit code of a forced end by the last signal heard; null when none was heard. */
  get forcedCode(): number | null {
    const last = this.#seen.at(-1);
    return last === undefined ? null : FORCED[last];
  }

  /** The exit code of work that the first signal made fail with `error`; throws any other error. */
  codeFor(error: unknown): number {
    if (!this.aborted.aborted || error !== this.aborted.reason) throw error;
    return this.forcedCode ?? EXIT.unexpected;
  }

  close(): void {
    this.#close();
  }
}
