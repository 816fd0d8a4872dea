/** Those who want room for an object stand in line while others leave memory for it. Decides the order; knows neither slabs nor files. */
import { type Deferred, deferred } from '../util/deferred.js';

/** What the line asks for. */
export interface RoomSource<Room, Victim> {
  /** Room now, or null. Throws what is wrong with the wish itself. */
  take(bytes: number): Room | null;
  /** Who has to leave for so many bytes, and who may as well leave with them; null: that would not help. */
  plan(bytes: number): readonly Victim[] | null;
  /** Whether there would be room once what is being written now, or sent to other boxes, can leave, too. */
  soon(bytes: number): boolean;
  /** Resolves when the victim's room is free, or the victim stays for a good reason. Rejects when it cannot leave. */
  leave(victim: Victim): Promise<void>;
  /**
   * Ask those who only keep objects open for later to close them; null: there are none. Never rejects.
   * @param collect also what nobody can reach any more, which takes them longer
   */
  letGo(collect: boolean): Promise<void> | null;
  /** Why there is no room. */
  full(bytes: number): Error;
}

interface Standing<Room> extends Deferred<Room> {
  readonly bytes: number;
  /** How often keepers were asked for its sake since something changed. */
  asked: number;
  /** Until when it waits for those who write; null: it has not begun. */
  deadline: number | null;
}

/** Whoever waits for one that writes, or for another box that reads, waits so long at most: that is copying, and who does not go on has been stopped. */
const WRITER_MS = 10_000;

export class RoomLine<Room, Victim> {
  readonly #source: RoomSource<Room, Victim>;
  readonly #line: Standing<Room>[] = [];
  #victims: Victim[] = [];
  #change: Deferred<void> | null = null;
  #working: Promise<void> | null = null;

  constructor(source: RoomSource<Room, Victim>) {
    this.#source = source;
  }

  /** Room, if there is some and nobody waits for it; else null. */
  now(bytes: number): Room | null {
    return this.#line.length === 0 ? this.#source.take(bytes) : null;
  }

  /**
   * Room, in turn. It is taken before its promise is heard of: whoever asked looks then whether it still wants it.
   * @param signal ends the wait, with its reason
   * @throws what the source says: `SHM_FULL`, `STORAGE_FAILED`
   */
  room(bytes: number, signal: AbortSignal): Room | Promise<Room> {
    return this.now(bytes) ?? this.#stand(bytes, signal);
  }

  /** Something in memory was freed, closed, or written to its end: worth another look. */
  changed(): void {
    this.#change?.resolve();
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    await this.#working;
  }

  async #stand(bytes: number, signal: AbortSignal): Promise<Room> {
    signal.throwIfAborted();
    const one: Standing<Room> = { bytes, asked: 0, deadline: null, ...deferred<Room>() };
    const withdraw = (): void => this.#refuse(one, signal.reason);
    signal.addEventListener('abort', withdraw, { once: true });
    this.#line.push(one);
    this.#working ??= this.#work();
    try {
      return await one.promise;
    } finally {
      signal.removeEventListener('abort', withdraw);
    }
  }

  /** Nothing happens when it has its answer. */
  #refuse(one: Standing<Room>, why: unknown): void {
    const at = this.#line.indexOf(one);
    if (at < 0) return;
    this.#line.splice(at, 1);
    one.reject(why);
    this.changed();
  }

  async #work(): Promise<void> {
    // Not within the call that began it: it has not got its promise yet.
    await Promise.resolve();
    for (let first = this.#serve(); first !== null || this.#victims.length > 0; first = this.#serve()) {
      const victim = this.#victims.shift();
      if (victim !== undefined) await this.#leave(victim);
      else if (first !== null) await this.#moreFor(first);
    }
    this.#working = null;
  }

  /** Give what there is, in turn. Returns who has to wait for more. */
  #serve(): Standing<Room> | null {
    for (let one = this.#line[0]; one !== undefined; one = this.#line[0]) {
      try {
        const room = this.#source.take(one.bytes);
        if (room === null) return one;
        this.#line.shift();
        one.resolve(room);
      } catch (error) {
        this.#refuse(one, error);
      }
    }
    return null;
  }

  async #leave(victim: Victim): Promise<void> {
    try {
      await this.#source.leave(victim);
    } catch (error) {
      this.#victims = [];
      const first = this.#line[0];
      if (first !== undefined) this.#refuse(first, error);
    }
  }

  async #moreFor(one: Standing<Room>): Promise<void> {
    const plan = this.#source.plan(one.bytes);
    if (plan !== null && plan.length > 0) {
      this.#victims = [...plan];
      one.asked = 0; // some may be opened before they have left
      return;
    }
    const asking = one.asked < 2 ? this.#source.letGo(one.asked > 0) : null;
    one.asked++;
    if (asking !== null) {
      await asking;
      return;
    }
    one.deadline ??= performance.now() + WRITER_MS;
    const left = one.deadline - performance.now();
    if (left > 0 && this.#source.soon(one.bytes)) {
      await this.#changes(left);
      one.asked = 0; // what was written may have been opened since
    } else this.#refuse(one, this.#source.full(one.bytes));
  }

  async #changes(atMostMs: number): Promise<void> {
    const change = deferred<void>();
    this.#change = change;
    const timer = setTimeout(change.resolve, atMostMs);
    await change.promise;
    clearTimeout(timer);
    this.#change = null;
  }
}
