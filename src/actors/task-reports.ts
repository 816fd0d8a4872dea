/** Calls are known to their callers only, so each client is asked what it has called. Pure but for the timer that it is given. */
import type { CallFacts, Report } from '../protocol/work.js';

/** A client, as far as it is asked. */
export interface Reporter {
  readonly id: number;
  readonly hello: { readonly pid: number; readonly kind: string };
  tell(method: string, params: unknown): void;
}

/** A call and who made it. */
export interface TaskFacts extends CallFacts {
  /** Of the process that called. */
  readonly callerPid: number;
}

/** What was learnt in one round. Plain JSON. */
export interface Reports {
  /** Client by client, each in the order of its calls. */
  readonly tasks: readonly TaskFacts[];
  /** Clients that did not answer in time. */
  readonly silent: readonly { readonly pid: number; readonly kind: string }[];
  /** Clients that have more calls than they told. */
  readonly untold: readonly { readonly pid: number; readonly calls: number }[];
}

export interface TaskReportsOptions {
  /** Those that have joined. */
  clients(): Iterable<Reporter>;
  /** Call once after so many ms; returns how to call it off. */
  after(ms: number, act: () => void): () => void;
}

interface Round {
  readonly asked: readonly Reporter[];
  readonly waiting: Set<number>;
  readonly told: Map<number, Report>;
  end(): void;
}

/** A client that is busy answers between two frames; one that is stopped does not answer at all. */
const DEADLINE_MS = 1000;

export class TaskReports {
  readonly #options: TaskReportsOptions;
  /** Under way, by token. */
  readonly #rounds = new Map<number, Round>();
  #next = 1;

  constructor(options: TaskReportsOptions) {
    this.#options = options;
  }

  /** Ask everybody. Resolves when all have answered or ended, at the latest after one second. */
  collect(): Promise<Reports> {
    const token = this.#next++;
    const asked = [...this.#options.clients()];
    return new Promise((resolve) => {
      let callOff = (): void => {};
      const round: Round = {
        asked,
        waiting: new Set(asked.map(({ id }) => id)),
        told: new Map(),
        end: () => {
          callOff();
          this.#rounds.delete(token);
          resolve(reportsOf(round));
        },
      };
      this.#rounds.set(token, round);
      callOff = this.#options.after(DEADLINE_MS, round.end);
      for (const client of asked) client.tell('report', { token });
      if (asked.length === 0) round.end();
    });
  }

  /** A client's answer. One that is late, comes twice, or is to nothing is ignored. */
  heard(client: number, report: Report): void {
    const round = this.#rounds.get(report.token);
    if (round === undefined || !round.waiting.has(client)) return;
    round.told.set(client, report);
    settle(round, client);
  }

  /** It will not answer any more, and has nothing to tell: its calls end with it. */
  gone(client: number): void {
    for (const round of [...this.#rounds.values()]) settle(round, client);
  }
}

function settle(round: Round, client: number): void {
  if (round.waiting.delete(client) && round.waiting.size === 0) round.end();
}

function reportsOf({ asked, waiting, told }: Round): Reports {
  const answers = asked.flatMap(({ id, hello }) => {
    const report = told.get(id);
    return report === undefined ? [] : [{ pid: hello.pid, calls: report.calls, more: report.more ?? 0 }];
  });
  return {
    tasks: answers.flatMap(({ pid, calls }) => calls.map((call) => ({ ...call, callerPid: pid }))),
    silent: asked.flatMap(({ id, hello: { pid, kind } }) => (waiting.has(id) ? [{ pid, kind }] : [])),
    untold: answers.flatMap(({ pid, more }) => (more > 0 ? [{ pid, calls: more }] : [])),
  };
}
