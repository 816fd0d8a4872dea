/** `--filter KEY=VALUE`: read against the shape of a listing's JSON before anything is asked, then applied to its rows. Pure. */
import { TwinkleError } from '../../errors.js';
import { didYouMean } from '../../util/did-you-mean.js';

/**
 * What a listing's JSON looks like, so that a mistyped key is an error even when nothing is listed.
 * `value`: a string, number, boolean or null. `map`: keys that users and machines choose. A list stands for lists of any length.
 */
export type Shape = 'value' | 'map' | readonly [Shape] | { readonly [key: string]: Shape };

/** The fields of a row type, all of them. */
export type Fields<Row> = { readonly [Key in keyof Row]-?: Shape };

/** A condition on a row. */
export type Condition = (row: object) => boolean;

type Step = (value: unknown) => readonly unknown[];

/**
 * A condition as written: `KEY=VALUE` or `KEY!=VALUE`. In a list any element may match, or one by its number: `bundles.0.node=a`.
 * `!=` holds where no value equals, so also where there is none. `null` and nothing match null.
 * @throws `USAGE` for a condition without `=`, an unknown key (with the nearest), and a key that names more than one value
 */
export function compileFilter(text: string, fields: Readonly<Record<string, Shape>>): Condition {
  const match = /^([^=!]+)(!?=)(.*)$/s.exec(text);
  const [, key = '', operator, wanted = ''] = match ?? [];
  if (match === null || key.trim() === '' || wanted.startsWith('=')) {
    throw new TwinkleError('USAGE', `expected KEY=VALUE or KEY!=VALUE for \`--filter\` but received "${text}"`);
  }
  const steps = compilePath(key.trim(), fields);
  const equal = (row: object): boolean => {
    let values: readonly unknown[] = [row];
    for (const step of steps) values = values.flatMap(step);
    return values.some((value) => same(value, wanted));
  };
  return operator === '=' ? equal : (row) => !equal(row);
}

function compilePath(path: string, fields: Readonly<Record<string, Shape>>): Step[] {
  const steps: Step[] = [];
  const words = path.split('.');
  let shape: Shape = fields;
  let at = 0;
  while (at < words.length) {
    const word = words[at] as string;
    if (shape === 'value') throw unknownKey(path, `\`${words.slice(0, at).join('.')}\` has no fields`);
    if (shape === 'map') {
      // Labels have dots in their names: what is left is one key.
      steps.push(field(words.slice(at).join('.')));
      return steps;
    }
    if (isList(shape)) {
      const index = /^\d+$/.test(word) ? Number(word) : null;
      if (index !== null) at++;
      steps.push((value) => (Array.isArray(value) ? (index === null ? value : value.slice(index, index + 1)) : []));
      shape = shape[0];
      continue;
    }
    const next: Shape | undefined = Object.hasOwn(shape, word) ? shape[word] : undefined;
    if (next === undefined) {
      const known = Object.keys(shape);
      const hint = didYouMean(word, known);
      throw unknownKey(path, `there is no field \`${word}\``, hint === '' ? `; there are ${known.join(', ')}` : hint);
    }
    steps.push(field(word));
    shape = next;
    at++;
  }
  if (isList(shape) && shape[0] === 'value') steps.push((value) => (Array.isArray(value) ? value : []));
  else if (shape !== 'value') throw unknownKey(path, 'it names more than one value', `; go on with ${inside(shape)}`);
  return steps;
}

function unknownKey(path: string, why: string, hint = ''): TwinkleError {
  return new TwinkleError('USAGE', `expected a field for \`--filter\` but received "${path}": ${why}${hint}`);
}

/** Examples of what may follow a key. */
function inside(shape: Exclude<Shape, 'value'>): string {
  if (shape === 'map') return '`.KEY`';
  const fields = isList(shape) ? shape[0] : shape;
  return typeof fields === 'string' || isList(fields)
    ? '`.0`'
    : Object.keys(fields)
        .map((name) => `\`.${name}\``)
        .join(', ');
}

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function field(name: string): Step {
  return (value) =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, name)
      ? [(value as Readonly<Record<string, unknown>>)[name]]
      : [];
}

function same(value: unknown, wanted: string): boolean {
  if (value === null) return wanted === 'null' || wanted === '';
  if (typeof value === 'number') return wanted.trim() !== '' && Number(wanted) === value;
  return String(value) === wanted;
}
