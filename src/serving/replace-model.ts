/** Another `model` in the JSON text of a request, every other byte as it was: numbers and unknown fields must arrive untouched. Pure. */

/** End of the string that begins at `at`, behind its closing quote. */
function stringEnd(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

/**
 * `text`, a JSON object, with `model` for the value of its own field `model` where that is a string; of several all. Text that is no
 * object, or has no such field, stays as it is.
 */
export function replaceModel(text: string, model: string): string {
  const parts: string[] = [];
  let depth = 0;
  let copied = 0;
  /** Whether a string of the outermost object would be a key: after `{` or `,`. */
  let isKey = false;
  let isModel = false;
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char !== '"') {
      if (char === '{' || char === '[') depth += 1;
      else if (char === '}' || char === ']') depth -= 1;
      if (char === '{' || char === ',') isKey = true;
      if (char === ',' || char === '[' || char === '{') isModel = false;
      at += 1;
      continue;
    }
    const end = stringEnd(text, at);
    if (depth === 1 && isKey) {
      isModel = JSON.parse(text.slice(at, end)) === 'model';
      isKey = false;
    } else if (depth === 1 && isModel) {
      parts.push(text.slice(copied, at), JSON.stringify(model));
      copied = end;
      isModel = false;
    }
    at = end;
  }
  return parts.join('') + text.slice(copied);
}
