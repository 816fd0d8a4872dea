/** The calls that one side of a connection has open: ids, deadlines, withdrawals. Knows nothing of frames and sockets. */
import { TwinkleError } from '../errors.js';

export interface PeerCallOptions {
  /** ms; default: none, a call ends with its connection at the latest. */
  readonly timeoutMs?: number;
  /** Withdraws the call here; the other side is not told. */
  readonly signal?: AbortSignal;
}

interface OpenCall {
  readonly method: string;
  resolve(value: unknown): void;
  reject(error: TwinkleError): void;
}

export class PeerCalls {
  readonly #open = new Map<number, OpenCall>();
  #next = 1;

  /**
   * Open a call; `send` says it, and what it throws is the outcome.
   * @throws `DEADLINE_EXCEEDED`, `ABORTED`, what {@link fail} was given
   */
  open<T>(method: string, options: PeerCallOptions, send: (id: number) => void): Promise<T> {
    const { timeoutMs, signal } = options;
    if (signal?.aborted === true) return Promise.reject(withdrawn(method, signal));
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      send(id);
      let timer: NodeJS.Timeout | null = null;
      const settle = (): void => {
        this.#open.delete(id);
        if (timer !== null) clearTimeout(timer);
        signal?.removeEventListener('abort', withdraw);
      };
      const fail = (error: TwinkleError): void => {
        settle();
        reject(error);
      };
      const withdraw = (): void => fail(withdrawn(method, signal));
      const succeed = (value: unknown): void => {
        settle();
        resolve(value as T);
      };
      this.#open.set(id, { method, resolve: succeed, reject: fail });
      if (timeoutMs !== undefined) {
        const late = `\`${method}\` was not answered within ${timeoutMs} ms`;
        timer = setTimeout(() => fail(new TwinkleError('DEADLINE_EXCEEDED', late)), timeoutMs);
      }
      signal?.addEventListener('abort', withdraw, { once: true });
    });
  }

  /** An answer; one that nobody waits for (any more) is dropped. */
  resolve(id: number, value: unknown): void {
    this.#open.get(id)?.resolve(value);
  }

  /** As {@link resolve}. */
  reject(id: number, error: TwinkleError): void {
    this.#open.get(id)?.reject(error);
  }

  /** End all with an error made for each. */
  fail(errorFor: (method: string) => TwinkleError): void {
    for (const call of [...this.#open.values()]) call.reject(errorFor(call.method));
  }
}

function withdrawn(method: string, signal: AbortSignal | undefined): TwinkleError {
  return new TwinkleError('ABORTED', `\`${method}\` was withdrawn`, { cause: signal?.reason });
}
