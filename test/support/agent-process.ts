/** Agents as processes of their own, to be killed. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { HeldReservation } from '../../src/cluster/types.js';
import { killProcess } from './gang-kit.js';

interface Message {
  readonly event: 'joined' | 'held' | 'fenced';
  readonly held?: readonly HeldReservation[];
  readonly txn?: string;
}

export class AgentProcess implements AsyncDisposable {
  readonly messages: Message[] = [];

  private constructor(
    readonly id: string,
    readonly child: ChildProcess,
  ) {
    child.on('message', (message) => this.messages.push(message as Message));
  }

  /** Resolves when the head has welcomed it. */
  static async join(
    address: string,
    id: string,
    total: Record<string, number>,
    labels: Record<string, string> = {},
  ): Promise<AgentProcess> {
    const node = { id, name: id, address: '127.0.0.1', version: 'test', total, labels, devices: {} };
    const child = fork(new URL('agent-process.mjs', import.meta.url), [JSON.stringify({ address, node })]);
    const agent = new AgentProcess(id, child);
    await agent.#next('joined');
    return agent;
  }

  /** What its table holds. */
  async held(): Promise<readonly HeldReservation[]> {
    const answer = this.#next('held');
    this.child.send('held');
    return (await answer).held ?? [];
  }

  /** Resolves with the transactions that ran out, when the first has. */
  async fenced(): Promise<string[]> {
    if (!this.messages.some(({ event }) => event === 'fenced')) await this.#next('fenced');
    return this.messages.flatMap(({ event, txn }) => (event === 'fenced' && txn !== undefined ? [txn] : []));
  }

  async kill(): Promise<void> {
    const exit = once(this.child, 'exit');
    killProcess(this.child.pid, 'SIGKILL');
    await exit;
  }

  /** Take leave of the head and end. */
  async leave(): Promise<void> {
    const exit = once(this.child, 'exit');
    this.child.send('leave');
    await exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill();
  }

  async #next(event: Message['event']): Promise<Message> {
    for (;;) {
      const [message] = (await Promise.race([
        once(this.child, 'message'),
        once(this.child, 'exit').then(([code]) => {
          throw new Error(`agent ${this.id} ended with ${code} before \`${event}\``);
        }),
      ])) as [Message];
      if (message.event === event) return message;
    }
  }
}
