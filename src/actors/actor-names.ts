/** Names of actors, each once in its namespace. Pure. */
import { TwinkleError } from '../errors.js';

export class ActorNames {
  readonly #ids = new Map<string, string>();

  /** Who has it; null: nobody. */
  find(namespace: string, name: string): string | null {
    return this.#ids.get(keyOf(namespace, name)) ?? null;
  }

  /** Take it; no name at all is nobody's. Throws `ACTOR_NAME_TAKEN`. */
  take(namespace: string, name: string, id: string): void {
    if (name === '') return;
    if (this.find(namespace, name) !== null) {
      throw new TwinkleError(
        'ACTOR_NAME_TAKEN',
        `an actor "${name}" exists in namespace "${namespace}"; take another name, or pass get_if_exists`,
      );
    }
    this.#ids.set(keyOf(namespace, name), id);
  }

  /** Free what that actor has. */
  free(namespace: string, name: string, id: string): void {
    if (this.find(namespace, name) === id) this.#ids.delete(keyOf(namespace, name));
  }

  /** Names of a namespace, or of all (null). */
  list(namespace: string | null): { readonly namespace: string; readonly name: string }[] {
    return [...this.#ids.keys()]
      .map((key) => JSON.parse(key) as [string, string])
      .filter(([own]) => namespace === null || own === namespace)
      .map(([own, name]) => ({ namespace: own, name }));
  }
}

function keyOf(namespace: string, name: string): string {
  return JSON.stringify([namespace, name]);
}
