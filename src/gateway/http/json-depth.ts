/** How deep a JSON text nests, found before it is parsed: what walks a value later (encoders, templates) does so recursively. */

const OPEN_ARRAY = '['.charCodeAt(0);
const OPEN_OBJECT = '{'.charCodeAt(0);
const CLOSE_ARRAY = ']'.charCodeAt(0);
const CLOSE_OBJECT = '}'.charCodeAt(0);
const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);

function hasMoreThan(limit: number, character: string, text: string): boolean {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) {
    found += 1;
    if (found > limit) return true;
  }
  return false;
}

/** Whether brackets outside of strings nest deeper than `limit`. Texts with few brackets, the usual ones, are not scanned. */
export function nestsDeeperThan(limit: number, text: string): boolean {
  const half = Math.floor(limit / 2);
  if (!hasMoreThan(half, '[', text) && !hasMoreThan(half, '{', text)) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at += 1;
      while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
    } else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      depth += 1;
      if (depth > limit) return true;
    } else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}
