/** Whether the operator has put a model to sleep or paused it, and what a replica that starts meanwhile must be told. Pure. */
import type { Command, Held } from './types/control.js';

interface Order {
  readonly command: Command;
  /** False until it is known whether it was carried out. */
  done: boolean;
  /** Of a `/wake_up`: whether all of the engine is awake after it. */
  whole: boolean;
}

interface Effect {
  readonly sleep: Command | null;
  /** Parts that were woken since. */
  readonly woken: readonly Command[];
  readonly pause: Command | null;
}

const NOTHING: Effect = { sleep: null, woken: [], pause: null };
const post = (path: string): Command => ({ method: 'POST', path, query: '', body: '' });
/** Takes everything back. */
const UNDO: readonly Command[] = [post('/wake_up'), post('/resume')];

const KINDS: ReadonlySet<string> = new Set(['/sleep', '/wake_up', '/pause', '/resume']);

/** Whether a command changes what holds from then on, so that later starts must hear of it. */
export function isStanding({ path }: Pick<Command, 'path'>): boolean {
  return KINDS.has(path);
}

function after(state: Effect, { command, whole }: Order): Effect {
  switch (command.path) {
    case '/sleep':
      return { ...state, sleep: command, woken: [] };
    case '/wake_up':
      // A whole wake-up resumes scheduling too, whoever paused it.
      if (whole || state.sleep === null) return NOTHING;
      return { ...state, woken: [...state.woken, command] };
    case '/pause':
      return { ...state, pause: command };
    default:
      return { ...state, pause: null };
  }
}

export class StandingOrders {
  #orders: Order[] = [];
  #version = 0;
  /** Replica → what it has been told, by its start. */
  readonly #told = new Map<string, { readonly epoch: number; readonly version: number }>();

  /** What holds now; null: nothing. */
  get held(): Held | null {
    const { sleep, pause } = this.#effect();
    return sleep !== null ? 'sleeping' : pause !== null ? 'paused' : null;
  }

  /** Whether the engines' memory is away: until some of it is woken, nothing can be loaded into it. */
  get asleep(): boolean {
    const { sleep, woken } = this.#effect();
    return sleep !== null && woken.length === 0 && !/(^|&)level=0(&|$)/.test(sleep.query);
  }

  /** A command goes out to all that take requests. To be followed by `carriedOut` or `refused`. */
  give(command: Command): Order {
    const order: Order = { command, done: false, whole: !/(^|&)tags=/.test(command.query) };
    this.#orders.push(order);
    this.#version += 1;
    return order;
  }

  /** @param whole of a `/wake_up`, whether the engine said that all of it is awake; null: it did not say */
  carriedOut(order: Order, whole: boolean | null): void {
    order.done = true;
    if (whole !== null && whole !== order.whole) {
      order.whole = whole;
      this.#version += 1;
    }
    this.#forget();
  }

  /** Nobody did it: it never was. */
  refused(order: Order): void {
    this.#orders = this.#orders.filter((other) => other !== order);
    this.#version += 1;
    this.#forget();
  }

  /** What this start of a replica must be told to be in step, in order; empty: nothing. */
  missing(replica: string, epoch: number): readonly Command[] {
    const { sleep, woken, pause } = this.#effect();
    const now = [sleep, ...woken, pause].filter((command) => command !== null);
    const told = this.#told.get(replica);
    if (told === undefined || told.epoch !== epoch) return now;
    return told.version === this.#version ? [] : [...UNDO, ...now];
  }

  /** What {@link missing} gave when the version was `version` has been told. */
  told(replica: string, epoch: number, version: number): void {
    this.#told.set(replica, { epoch, version });
  }

  /** This replica holds to nothing of it any more. */
  forgotten(replica: string): void {
    this.#told.delete(replica);
  }

  get version(): number {
    return this.#version;
  }

  #effect(): Effect {
    return this.#orders.reduce(after, NOTHING);
  }

  /** Orders that have no effect any more would pile up over the years. */
  #forget(): void {
    if (this.#orders.every(({ done }) => done) && this.held === null) this.#orders = [];
  }
}
