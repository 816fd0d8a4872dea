/** A value inside of something that a user wrote, with its path and its place: for readers of nested configuration. Pure. */
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import { shownValue } from './secrets.js';
import { located, type Origin } from './settings.js';

/** Path inside of a value → `serve.yaml:3:7`; null where that is not known. */
export type Place = (path: readonly (string | number)[]) => string | null;

/** Bounds of a number. */
export interface NumberBounds {
  readonly min: number;
  readonly max?: number;
  readonly whole?: boolean;
}

export class Field {
  /**
   * @param name as messages name the whole value: `llm_configs`
   * @param path of this value in it
   */
  constructor(
    readonly value: unknown,
    private readonly name: string,
    private readonly source: Origin['source'],
    private readonly place: Place,
    private readonly path: readonly (string | number)[] = [],
  ) {}

  /** Where it was written: `llm_configs[0].lora_config`. */
  get origin(): Origin {
    const name = this.path.reduce<string>(
      (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}.${key}`),
      this.name,
    );
    return { source: this.source, name, at: this.place(this.path) };
  }

  /** The error for a value of the wrong form. */
  wrong(expected: string, advice = ''): TwinkleError {
    const received = JSON.stringify(shownValue(String(this.path.at(-1) ?? ''), this.value)) ?? typeof this.value;
    const shown = received.length > 200 ? `${received.slice(0, 200)}…` : received;
    return this.refused(`expected ${expected} but received ${shown}`, advice);
  }

  /** The error for a value that is wrong whatever it is: `serve.yaml:3:7: \`lora_config\`: …; do …`. */
  refused(what: string, advice = ''): TwinkleError {
    const { origin } = this;
    const text = `${located(origin)}\`${origin.name}\`: ${what}${advice === '' ? '' : `; ${advice}`}`;
    return new TwinkleError('CONFIG_INVALID', text);
  }

  /**
   * The fields of an object that are set; null counts as not set.
   * @param known names that are read
   * @param refusals names that are known and refused, and what to do instead
   * @throws `CONFIG_INVALID` for no object, an unknown or a refused name
   */
  fields<K extends string>(known: readonly K[], refusals: Readonly<Record<string, string>> = {}): Map<K, Field> {
    const names: readonly string[] = known;
    return new Map(
      [...this.entries()].map(([name, field]): [K, Field] => {
        if (names.includes(name)) return [name as K, field];
        if (Object.hasOwn(refusals, name)) throw field.refused(`is not supported: ${refusals[name]}`);
        throw field.refused(`unknown field${didYouMean(name, names) || `; there are ${names.join(', ')}`}`);
      }),
    );
  }

  /** The entries of an object whose names are free. */
  entries(): Map<string, Field> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.wrong('a mapping');
    const set = Object.entries(value).filter(([, item]) => item !== null && item !== undefined);
    return new Map(set.map(([key, item]) => [key, this.#inside(item, key)]));
  }

  /** The items of a list. */
  items(): Field[] {
    if (!Array.isArray(this.value)) throw this.wrong('a list');
    return this.value.map((item: unknown, at) => this.#inside(item, at));
  }

  text(expected = 'text'): string {
    if (typeof this.value !== 'string' || this.value === '') throw this.wrong(expected);
    return this.value;
  }

  number({ min, max, whole = false }: NumberBounds): number {
    const { value } = this;
    const fits =
      typeof value === 'number' &&
      value >= min &&
      value <= (max ?? Number.MAX_SAFE_INTEGER) &&
      (!whole || Number.isSafeInteger(value));
    if (fits) return value;
    throw this.wrong(
      `${whole ? 'a whole number' : 'a number'} ${max === undefined ? `of at least ${min}` : `from ${min} to ${max}`}`,
    );
  }

  #inside(item: unknown, key: string | number): Field {
    return new Field(item, this.name, this.source, this.place, [...this.path, key]);
  }
}
