/** Label selectors in Ray's form: `v`, `!v`, `in(a,b)`, `!in(a,b)`. Pure. */
import { TwinkleError } from '../errors.js';
import type { LabelCondition, LabelSelector, NodeSpec } from './types.js';

/** Implied by the node itself. */
export const NODE_ID_LABEL = 'ray.io/node-id';

const LIST = /^(!?)in\((.*)\)$/;
/** Ray's rule for values: letters, digits, `-`, `_`, `.`; begins and ends with a letter or digit; at most 63. */
const VALUE = /^[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/;
const KEY = /^(?:[A-Za-z0-9](?:[\w.-]{0,251}[A-Za-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/;

/**
 * Compile `{ 'ray.io/accelerator-type': 'in(A100,H100)' }`.
 * @param name what messages call it
 * @throws `PLACEMENT_INVALID`
 */
export function parseSelector(written: unknown, name: string): LabelSelector {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    throw invalid(`expected an object of label → value for \`${name}\` but received ${JSON.stringify(written)}`);
  }
  return Object.entries(written).map(([key, value]) => {
    if (!KEY.test(key)) throw invalid(`\`${name}\`: "${key}" is no label name`);
    if (typeof value !== 'string') {
      throw invalid(`expected text for label \`${key}\` of \`${name}\` but received ${JSON.stringify(value)}`);
    }
    return parseCondition(key, value, name);
  });
}

function parseCondition(key: string, text: string, name: string): LabelCondition {
  const list = LIST.exec(text);
  const not = list === null ? text.startsWith('!') : list[1] === '!';
  // One blank may follow a comma, as Ray has it.
  const values = list === null ? [text.slice(not ? 1 : 0)] : (list[2] ?? '').split(/, ?/);
  const wrong = values.find((value) => !VALUE.test(value));
  if (wrong !== undefined) {
    throw invalid(
      `"${text}" for label \`${key}\` of \`${name}\` is no selector: "${wrong}" is no label value; write v, !v, in(a,b) or !in(a,b)`,
    );
  }
  return { key, not, values };
}

/** Whether the node satisfies every condition. */
export function matches(spec: NodeSpec, selector: LabelSelector): boolean {
  return selector.every(({ key, not, values }) => {
    const value = key === NODE_ID_LABEL ? spec.id : spec.labels.get(key);
    return value === undefined ? not : values.includes(value) !== not;
  });
}

/** `ray.io/accelerator-type in (A100, H100)`: for people. */
export function describeSelector(selector: LabelSelector): string {
  return selector
    .map(({ key, not, values }) =>
      values.length === 1
        ? `${key} ${not ? '≠' : '='} ${values[0]}`
        : `${key} ${not ? 'not in' : 'in'} (${values.join(', ')})`,
    )
    .join(', ');
}

function invalid(message: string): TwinkleError {
  return new TwinkleError('PLACEMENT_INVALID', message);
}
