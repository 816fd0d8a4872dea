/** What of a configuration must not be shown. Pure. */

const SECRET = /token|key|secret|passw|passphrase|pwd|salt|auth|headers|credential/i;
/** No secret, whatever its name: switches and counts. */
const PLAIN = /^(true|false|yes|no|on|off|\d{1,3})$/i;
/** Names that only look so. */
const HARMLESS = /^(key_prefix|tokenizer.*|max_.*tokens?.*|.*_tokens|token_cleanup_.*|per_token_.*)$/i;

/**
 * A text as it may be shown.
 * @param key its last name: of a field, or of a variable
 */
export function shownText(key: string, text: string): string {
  if (text !== '' && SECRET.test(key) && !HARMLESS.test(key) && !PLAIN.test(text)) return '***';
  return text
    .replace(/\b([a-z][\w+.-]*:\/\/)\S*@/gi, '$1***@')
    .replace(/([?&][^=&\s]*(?:token|key|secret|passw|pwd)[^=&\s]*=)[^&\s]*/gi, '$1***');
}

/** A value with all its texts, and numbers of secret names, as they may be shown. */
export function shownValue(key: string, value: unknown): unknown {
  if (typeof value === 'string') return shownText(key, value);
  if (Array.isArray(value))
    return value.map((item) => shownValue(key, typeof item === 'string' ? afterEquals(item) : item));
  if (typeof value === 'number')
    return Number.isFinite(value) && shownText(key, String(value)) === '***' ? '***' : value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shownValue(name, item)]));
}

/** `NAME=value` as a variable. */
function afterEquals(text: string): string {
  const [, name = '', value = ''] = /^(\w+)=(.*)$/s.exec(text) ?? [];
  return name === '' ? text : `${name}=${shownText(name, value)}`;
}
