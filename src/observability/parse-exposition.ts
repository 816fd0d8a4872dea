/** Prometheus text (0.0.4) → families and samples. Values and timestamps stay text. Pure; lines that are no samples are left out. */

export interface ExpositionSample {
  readonly name: string;
  /** Name and value as escaped in the text. */
  readonly labels: readonly (readonly [string, string])[];
  /** Value, and timestamp if there is one. */
  readonly rest: string;
}

export interface ExpositionFamily {
  readonly name: string;
  readonly help: string | null;
  readonly type: string | null;
  readonly samples: readonly ExpositionSample[];
}

interface Growing {
  readonly name: string;
  help: string | null;
  type: string | null;
  readonly samples: ExpositionSample[];
}

const META = /^#\s+(HELP|TYPE)\s+([a-zA-Z_:][\w:]*)(?:\s+(.*))?$/;
const NAME = /^[a-zA-Z_:][\w:]*/;
const LABEL = /\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|(?=\}))/y;
/** A value (a number, NaN or an infinity), and perhaps a timestamp. */
const REST = /^[+-]?(?:\d[\d.eE+-]*|\.\d[\d.eE+-]*|nan|inf|infinity)(?:\s+-?\d+)?$/i;
/** What samples of a histogram or a summary end in beside its name. */
const PARTS = ['_bucket', '_sum', '_count'] as const;

function sampleOf(line: string): ExpositionSample | null {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) return null;
  const labels: [string, string][] = [];
  let at = name.length;
  if (line[at] === '{') {
    at += 1;
    for (LABEL.lastIndex = at; ; at = LABEL.lastIndex) {
      const match = LABEL.exec(line);
      if (match === null) break;
      labels.push([match[1] as string, match[2] as string]);
    }
    const close = /^\s*\}/.exec(line.slice(at));
    if (close === null) return null;
    at += close[0].length;
  }
  const rest = line.slice(at).trim();
  return REST.test(rest) ? { name, labels, rest } : null;
}

/** Families in the order in which they begin. A sample without a TYPE is a family of its own name. */
export function parseExposition(text: string): ExpositionFamily[] {
  const families = new Map<string, Growing>();
  const family = (name: string): Growing => {
    let known = families.get(name);
    if (known === undefined) {
      known = { name, help: null, type: null, samples: [] };
      families.set(name, known);
    }
    return known;
  };
  /** The family that a sample's name belongs to. */
  const owner = (name: string): Growing => {
    const part = PARTS.find((suffix) => name.endsWith(suffix));
    const whole = part === undefined ? undefined : families.get(name.slice(0, -part.length));
    return whole?.type === 'histogram' || whole?.type === 'summary' ? whole : family(name);
  };
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '') continue;
    if (line.startsWith('#')) {
      const [, kind, name, words = ''] = META.exec(line) ?? [];
      if (kind === 'HELP' && name !== undefined) family(name).help ??= words;
      else if (kind === 'TYPE' && name !== undefined) family(name).type ??= words.trim();
      continue;
    }
    const sample = sampleOf(line);
    if (sample !== null) owner(sample.name).samples.push(sample);
  }
  return [...families.values()];
}
