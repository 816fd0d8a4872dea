/** The file of `--config`: a flat YAML mapping with the flags' names. Every value keeps its line and column. */
import { TwinkleError } from '../errors.js';
import type { Place } from './field.js';
import { kebabCase } from './options.js';
import type { Written } from './settings.js';
import { inside, isMap, type Located, parseYaml, plain } from './yaml-tree.js';

/** An entry of the file, in the order of the file. */
export interface YamlEntry extends Written {
  /** Kebab case. */
  readonly key: string;
  /** Where what is inside of the value was written. */
  readonly place: Place;
}

/**
 * Parse.
 * @param path shown in messages as given
 * @throws `CONFIG_INVALID` with `file:line:column` for anything that is no mapping of names to values
 */
export async function parseYamlConfig(text: string, path: string): Promise<YamlEntry[]> {
  return yamlEntries(await parseYaml(text, path));
}

/** The entries of a document. @throws `CONFIG_INVALID` when it is no mapping */
function yamlEntries(tree: Located | null): YamlEntry[] {
  if (tree === null) return [];
  if (!isMap(tree.value)) {
    const expected = 'expected a mapping such as `port: 8000` but found something else';
    throw new TwinkleError('CONFIG_INVALID', `${tree.origin.at}: ${expected}`);
  }
  return [...tree.value].map(([name, item]) => ({
    ...{ key: kebabCase(name), value: plain(item), origin: item.origin },
    place: (path) => inside(item, path)?.origin.at ?? null,
  }));
}
