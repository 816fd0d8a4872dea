/** A line of `head.log` for people: time, level, event and fields, in the order and manner of the ranks' own lines. */

const LEVELS: Readonly<Record<number, string>> = { 10: 'TRACE', 20: 'DEBUG', 30: 'INFO', 40: 'WARNING', 50: 'ERROR' };

/** `{"level":30,…}` → `2026-01-31 12:00:00,123 INFO gang_state gang=demo/0 state=ready`; any other line as it is. */
export function readableLine(line: string): string {
  if (!line.startsWith('{')) return line;
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, time, event, ...rest } = fields;
  if (typeof level !== 'number' || typeof time !== 'string' || typeof event !== 'string') return line;
  const shown = Object.entries(rest).map(([name, value]) => `${name}=${word(value)}`);
  return [
    time.replace('T', ' ').replace('.', ',').replace('Z', ''),
    LEVELS[level] ?? String(level),
    event,
    ...shown,
  ].join(' ');
}

function word(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
