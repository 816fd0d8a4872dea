/** Text that both languages can read: JavaScript strings may hold half a surrogate pair, which is no UTF-8 and ends a Python decoder. */

const HALF_PAIR = /\p{Surrogate}/gu;

/** `value` with U+FFFD for every half pair, in keys too; the very same object where there is none, which is nearly always. */
export function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.search(HALF_PAIR) < 0 ? value : value.replace(HALF_PAIR, '\ufffd');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Array.isArray(value) ? wellFormedList(value) : wellFormedMap(value as Record<string, unknown>);
}

/** Every call to a rank goes through here: nothing is made of a map that is right. */
function wellFormedMap(map: Readonly<Record<string, unknown>>): object {
  const keys = Object.keys(map);
  let copy: [string, unknown][] | null = null;
  for (const [at, key] of keys.entries()) {
    const part = map[key];
    const rightKey = wellFormed(key) as string;
    const right = wellFormed(part);
    if (copy === null && rightKey === key && right === part) continue;
    copy ??= keys.slice(0, at).map((before) => [before, map[before]]);
    copy.push([rightKey, right]);
  }
  return copy === null ? map : Object.fromEntries(copy);
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
