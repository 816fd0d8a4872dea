/** Remembers which devices belong together: nodes of one model share the answers. Bounded; forgetting costs time, nothing else. */
import { bestLinked, type LinkedSet } from './linked-devices.js';
import { WHOLE } from './resources.js';
import type { Free, NodeDevices, NodeSpec, NodeView } from './types.js';

const MOST_ANSWERS = 20_000;
const MOST_WIRINGS = 1000;
/** So many devices can be told apart by the bits of a number that also has the wiring. */
const MOST_BITS = 24;

export class LinkBook {
  #wirings = new Map<string, number>();
  #known = new WeakMap<NodeDevices, number>();
  readonly #answers = new Map<string, LinkedSet>();
  #next = 1;

  /**
   * A number for how the devices of a resource are wired: nodes with the same number are interchangeable. 0: nothing is known, so their
   * devices are interchangeable too.
   */
  wiring(spec: NodeSpec, resource: string): number {
    const devices = spec.devices.get(resource);
    if (devices === undefined) return 0;
    const known = this.#known.get(devices);
    if (known !== undefined) return known;
    if (this.#wirings.size > MOST_WIRINGS) {
      // Numbers are never used again, so what an index still holds of the old ones stays apart from the new ones.
      this.#wirings = new Map();
      this.#known = new WeakMap();
      this.#answers.clear();
    }
    const text = JSON.stringify([devices.numa, devices.links.map(({ a, b, kind, lanes }) => [a, b, kind, lanes])]);
    const number = this.#wirings.get(text) ?? this.#next++;
    this.#wirings.set(text, number);
    this.#known.set(devices, number);
    return number;
  }

  /** A number for which devices of a resource are free as wholes: nodes with the same number are interchangeable. 0: as in `wiring`. */
  variant({ spec, free, order }: NodeView, resource: string): number {
    const wiring = this.wiring(spec, resource);
    if (wiring === 0) return 0;
    const instances = free.instances.get(resource) ?? [];
    if (instances.length > MOST_BITS) return -1 - order;
    let bits = 0;
    for (let at = 0; at < instances.length; at++) if (instances[at] === WHOLE) bits += 1 << at;
    return wiring * 2 ** MOST_BITS + bits;
  }

  /** {@link bestLinked} among the devices that are free as wholes. */
  best(spec: NodeSpec, resource: string, free: readonly number[], count: number): LinkedSet {
    const wiring = this.wiring(spec, resource);
    const key = `${wiring}|${count}|${free.join()}`;
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      answer = bestLinked(spec.devices.get(resource) ?? null, free, count);
      if (this.#answers.size >= MOST_ANSWERS) this.#answers.clear();
      this.#answers.set(key, answer);
    }
    return answer;
  }
}

/** Instances of a resource that are free as wholes, ascending. */
export function freeWholes(free: Free, resource: string): number[] {
  const wholes: number[] = [];
  free.instances.get(resource)?.forEach((units, instance) => {
    if (units === WHOLE) wholes.push(instance);
  });
  return wholes;
}
