/** Values with their places as YAML or JSON. Secrets are masked. Pure. */
import type { Document } from 'yaml';
import { shownText } from '../../config/secrets.js';
import type { Origin } from '../../config/settings.js';
import { isItems, isMap, type Located, type Scalar } from '../../config/yaml-tree.js';

/** @param origins each value is followed by where it comes from, as a comment */
export async function printYaml(root: Located, origins: boolean): Promise<string> {
  const { Document } = await import('yaml');
  const document = new Document();
  document.contents = nodeOf(document, root, '', origins) as typeof document.contents;
  return document.toString({ lineWidth: 0 });
}

function nodeOf(document: Document, { value, origin }: Located, key: string, origins: boolean): unknown {
  if (isItems(value) && value.length > 0) {
    const list = document.createNode([]);
    for (const item of value) list.items.push(nodeOf(document, item, key, origins) as never);
    return list;
  }
  if (isMap(value) && value.size > 0) {
    const map = document.createNode({});
    for (const [name, item] of value) {
      const pair = document.createPair(document.createNode(name), nodeOf(document, item, name, origins));
      // Behind an empty collection there is no room for it.
      if (origins && isEmpty(item)) pair.key.commentBefore = ` ${whence(item.origin)}`;
      map.items.push(pair as never);
    }
    return map;
  }
  if (isItems(value) || isMap(value)) return document.createNode(isMap(value) ? {} : [], { flow: true });
  const node = document.createNode(masked(key, value));
  if (origins) node.comment = ` ${whence(origin)}`;
  return node;
}

function isEmpty({ value }: Located): boolean {
  return (isItems(value) && value.length === 0) || (isMap(value) && value.size === 0);
}

/** @param origins each value is `{value, origin}` */
export function printJson(root: Located, origins: boolean): string {
  return `${JSON.stringify(jsonOf(root, '', origins), null, 2)}\n`;
}

function jsonOf({ value, origin }: Located, key: string, origins: boolean): unknown {
  if (isItems(value) && value.length > 0) return value.map((item) => jsonOf(item, key, origins));
  if (isMap(value) && value.size > 0) {
    return Object.fromEntries([...value].map(([name, item]) => [name, jsonOf(item, name, origins)]));
  }
  const plain = isItems(value) ? [] : isMap(value) ? {} : masked(key, value);
  return origins ? { value: plain, origin: whence(origin) } : plain;
}

function whence({ source, name, at }: Origin): string {
  if (source === 'default') return 'default';
  return source === 'env' ? `environment, ${name}` : (at ?? source);
}

/** A text that is read again as it is: `${` would be a reference. */
function masked(key: string, value: Scalar): Scalar {
  return typeof value === 'string' ? shownText(key, value).replaceAll('${', '\\${') : value;
}
