/** What a box asks its head: questions that nobody wants answered any more are withdrawn there. */
import type { AgentAsks, AgentTells, Link } from './words.js';

/** Those that may take long have a number. */
type Withdrawable = {
  [M in keyof AgentAsks]: AgentAsks[M]['params'] extends { token: number } ? M : never;
}[keyof AgentAsks];

export class Questions {
  readonly #link: Link<AgentAsks, AgentTells>;
  #next = 0;

  constructor(link: Link<AgentAsks, AgentTells>) {
    this.#link = link;
  }

  /** @throws what the head throws, `HEAD_UNREACHABLE` */
  ask<M extends keyof AgentAsks>(method: M, params: AgentAsks[M]['params']): Promise<AgentAsks[M]['result']> {
    return this.#link.call(method, params);
  }

  /** The same. @param signal withdraws it: the head answers with `ABORTED` */
  async withdrawable<M extends Withdrawable>(
    method: M,
    params: Omit<AgentAsks[M]['params'], 'token'>,
    signal: AbortSignal,
  ): Promise<AgentAsks[M]['result']> {
    signal.throwIfAborted();
    const token = this.#next++;
    const withdraw = (): void => this.#link.cast('work.withdraw', { token });
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      return await this.#link.call(method, { ...params, token } as AgentAsks[M]['params']);
    } finally {
      signal.removeEventListener('abort', withdraw);
    }
  }
}
