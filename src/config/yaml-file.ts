/** Reads the file of `--config`: a flat YAML mapping with the flags' names. Every value keeps its line and column. */
import { readFile } from 'node:fs/promises';
import { TwinkleError } from '../errors.js';
import type { Place } from './field.js';
import { kebabCase } from './options.js';
import type { Written } from './settings.js';

/** An entry of the file, in the order of the file. */
export interface YamlEntry extends Written {
  /** Kebab case. */
  readonly key: string;
  /** Where what is inside of the value was written. */
  readonly place: Place;
}

/**
 * Read and parse.
 * @param path shown in messages as given
 * @throws `CONFIG_INVALID` with `file:line:column` for anything that is no mapping of names to values
 */
export async function readYamlConfig(path: string): Promise<YamlEntry[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new TwinkleError(
      'CONFIG_INVALID',
      code === 'ENOENT'
        ? `expected a YAML file for \`--config\` but there is no ${path}`
        : `cannot read the configuration file ${path}: ${code ?? String(error)}`,
      { cause: error },
    );
  }
  return parseYamlConfig(text, path);
}

/** The parsing half of {@link readYamlConfig}. */
export async function parseYamlConfig(text: string, path: string): Promise<YamlEntry[]> {
  const { isCollection, isMap, isScalar, LineCounter, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const first = document.errors[0];
  if (first !== undefined) throw new TwinkleError('CONFIG_INVALID', `${at(first.pos[0])}: ${first.message}`);
  if (document.contents === null) return [];
  if (!isMap(document.contents)) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${at(document.contents.range?.[0] ?? 0)}: expected a mapping such as \`port: 8000\` but found something else`,
    );
  }
  /** Of a key where there is one: a value may begin lines later. */
  const placeOf = (path: readonly (string | number)[]): string | null => {
    const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
    const last = path.at(-1);
    const key = isMap(parent)
      ? parent.items.find((pair) => isScalar(pair.key) && pair.key.value === last)?.key
      : isCollection(parent)
        ? parent.get(last, true)
        : null;
    const offset = (key as { range?: readonly number[] } | null | undefined)?.range?.[0];
    return offset === undefined ? null : at(offset);
  };
  return document.contents.items.map((pair) => {
    const offset = (isScalar(pair.key) ? pair.key.range?.[0] : undefined) ?? 0;
    if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
      throw new TwinkleError('CONFIG_INVALID', `${at(offset)}: expected a name before the colon`);
    }
    const value: unknown = document.toJS({ mapAsMap: false })[pair.key.value];
    const name = pair.key.value;
    const origin = { source: 'yaml', name, at: at(offset) } as const;
    return { key: kebabCase(name), value, origin, place: (path) => placeOf([name, ...path]) };
  });
}
