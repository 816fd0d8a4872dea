/** Prometheus texts of several engines as one, each sample labelled with its engine. Pure; understands the text format and no metric. */
import { type ExpositionFamily, parseExposition } from './parse-exposition.js';

/** The text of one engine. */
export interface EngineText {
  /** For samples that name no model. */
  readonly model: string;
  /** Value of the label `engine`, whatever the text says. */
  readonly engine: string;
  readonly text: string;
}

const quoted = (value: string): string =>
  `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

/** `a="1",engine="0"` → the same with our engine, and with a model where there was none. Values stay escaped as they came. */
function relabelled(labels: readonly (readonly [string, string])[], { engine, model }: EngineText): string[] {
  const others = labels.filter(([name]) => name !== 'engine').map(([name, raw]) => `${name}="${raw}"`);
  if (!labels.some(([name]) => name === 'model_name')) others.push(`model_name=${quoted(model)}`);
  return [...others, `engine=${quoted(engine)}`];
}

interface Merged {
  readonly head: ExpositionFamily;
  readonly samples: string[];
  /** A series twice would make the whole scrape invalid. */
  readonly seen: Set<string>;
}

/**
 * `own` first and unchanged, then the engines' families in the order in which they first appear, each with its HELP and TYPE once. Left out:
 * families that `own` has, those whose type differs from the first text's, series that were there before, and lines that are no samples.
 */
export function mergeExposition(own: string, engines: readonly EngineText[]): string {
  const taken = new Set(parseExposition(own).map(({ name }) => name));
  const families = new Map<string, Merged>();
  for (const engine of engines) {
    for (const family of parseExposition(engine.text)) {
      if (taken.has(family.name)) continue;
      let merged = families.get(family.name);
      if (merged === undefined) {
        merged = { head: family, samples: [], seen: new Set() };
        families.set(family.name, merged);
      }
      if (merged.head.type !== family.type) continue;
      for (const { labels, name, rest } of family.samples) {
        const all = relabelled(labels, engine);
        // The order of labels is no part of a series.
        const series = `${name}{${[...all].sort().join()}}`;
        if (merged.seen.has(series)) continue;
        merged.seen.add(series);
        merged.samples.push(`${name}{${all.join()}} ${rest}`);
      }
    }
  }
  const lines = [...families.values()].flatMap(({ head, samples }) =>
    samples.length === 0
      ? []
      : [
          ...(head.help === null ? [] : [`# HELP ${head.name} ${head.help}`]),
          ...(head.type === null ? [] : [`# TYPE ${head.name} ${head.type}`]),
          ...samples,
        ],
  );
  if (lines.length === 0) return own;
  return `${own === '' || own.endsWith('\n') ? own : `${own}\n`}${lines.join('\n')}\n`;
}
