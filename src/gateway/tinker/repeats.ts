/** Answers of requests that have no number of their own, for who asks the same once more because the first answer was lost on the way. */
import type { TinkerCall } from './route.js';

/** The SDK repeats for five minutes: so many requests of one server do not come meanwhile. */
const MAX_KEPT = 10_000;

export class Repeats {
  /** By tenant, route and idempotency key; oldest first. Failures are not kept. */
  readonly #answers = new Map<string, object>();

  /** `answer`, asked once for each idempotency key. Requests without one are all new. */
  once(answer: (call: TinkerCall) => object): (call: TinkerCall) => object {
    return (call) => {
      const { request, tenant } = call;
      const key = request.headers['x-idempotency-key'];
      if (typeof key !== 'string' || key === '') return answer(call);
      const id = JSON.stringify([tenant, request.method, request.url, key]);
      const known = this.#answers.get(id);
      if (known !== undefined) return known;
      const given = answer(call);
      this.#answers.set(id, given);
      if (given instanceof Promise) given.catch(() => this.#answers.delete(id));
      const [oldest] = this.#answers.keys();
      if (this.#answers.size > MAX_KEPT && oldest !== undefined) this.#answers.delete(oldest);
      return given;
    };
  }
}
