/** Text that both languages can read: JavaScript strings may hold half a surrogate pair, which is no UTF-8 and ends a Python decoder. */

const HALF_PAIR = /\p{Surrogate}/gu;

/** `value` with U+FFFD for every half pair, in keys too; the very same object where there is none, which is nearly always. */
export function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.search(HALF_PAIR) < 0 ? value : value.replace(HALF_PAIR, '\ufffd');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return wellFormedList(value);
  const entries = Object.entries(value);
  const right = entries.map(([key, part]) => [wellFormed(key) as string, wellFormed(part)] as const);
  const same = right.every(([key, part], at) => key === entries[at]?.[0] && part === entries[at]?.[1]);
  return same ? value : Object.fromEntries(right);
}

/** Long lists are token ids: looked at, never copied. */
function wellFormedList(list: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | null = null;
  for (let at = 0; at < list.length; at++) {
    const right = wellFormed(list[at]);
    if (right === list[at]) continue;
    copy ??= [...list];
    copy[at] = right;
  }
  return copy ?? list;
}
