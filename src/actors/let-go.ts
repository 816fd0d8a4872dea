/** Clients keep what they have read open for a moment, for the next who reads it: asks them to close it now. Pure but for its timer. */

/** A client, as far as it is asked. */
interface Keeper {
  tell(method: string, params: unknown): void;
}

interface Round {
  readonly waiting: Set<number>;
  end(): void;
}

/** A client that is busy answers between two frames; one that is stopped does not answer at all. */
const DEADLINE_MS = 1000;

export class LetGoRounds {
  readonly #find: (client: number) => Keeper | undefined;
  readonly #after: (ms: number, act: () => void) => () => void;
  /** Under way, by token. */
  readonly #rounds = new Map<number, Round>();
  #next = 1;

  /** @param after call once after so many ms; returns how to call it off */
  constructor(
    find: (client: number) => Keeper | undefined,
    after: (ms: number, act: () => void) => () => void = onTimer,
  ) {
    this.#find = find;
    this.#after = after;
  }

  /**
   * Ask these; resolves when all have closed what they do not read, or ended, at the latest after one second. Null: they are none.
   * @param collect they look for garbage, too
   */
  ask(clients: readonly number[], collect: boolean): Promise<void> | null {
    const asked = clients.flatMap((client) => {
      const keeper = this.#find(client);
      return keeper === undefined ? [] : [[client, keeper] as const];
    });
    if (asked.length === 0) return null;
    const token = this.#next++;
    return new Promise((resolve) => {
      const waiting = new Set(asked.map(([client]) => client));
      const end = (): void => {
        callOff();
        this.#rounds.delete(token);
        resolve();
      };
      this.#rounds.set(token, { waiting, end });
      const callOff = this.#after(DEADLINE_MS, end);
      for (const [, keeper] of asked) keeper.tell('object.let-go', { token, collect });
    });
  }

  /** It has closed them. An answer that is late, or to nothing, is ignored. */
  done(client: number, token: number): void {
    const round = this.#rounds.get(token);
    if (round?.waiting.delete(client) === true && round.waiting.size === 0) round.end();
  }

  /** It will not answer any more, and has nothing open. */
  gone(client: number): void {
    for (const token of [...this.#rounds.keys()]) this.done(client, token);
  }
}

function onTimer(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, ms);
  return () => clearTimeout(timer);
}
