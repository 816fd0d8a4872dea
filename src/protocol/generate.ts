/**
 * Writes the msgspec structs of Python (`twinkle_worker/protocol.py`: ranks, `twinkle_node/core/protocol.py`: actors, tasks and objects) from
 * the TypeBox schemas of this folder. Texts are made purely; run as a program it writes them. A test compares, so they cannot go stale.
 * A generator of our own: 100 lines against a Python tool in the Node build; it refuses what it does not know.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as frames from './frames.js';
import * as launch from './launch.js';
import { METHODS } from './methods.js';
import * as training from './training.js';
import * as values from './values.js';
import { PROTOCOL_VERSION } from './version.js';
import * as work from './work.js';

interface Node {
  readonly $id?: string;
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly Node[];
  readonly items?: Node | readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
}

const SCALARS: Readonly<Record<string, string>> = {
  integer: 'int',
  number: 'float',
  string: 'str',
  boolean: 'bool',
  null: 'None',
};

function pythonType(node: Node, where: string): string {
  if (node.$ref !== undefined) return node.$ref;
  if (node.anyOf !== undefined) return node.anyOf.map((option) => pythonType(option, where)).join(' | ');
  const scalar = node.type === undefined ? undefined : SCALARS[node.type];
  if (scalar !== undefined) return scalar;
  if (node.type === 'array') {
    const { items } = node;
    if (items === undefined) throw new Error(`${where}: array without items`);
    if (!Array.isArray(items)) return `list[${pythonType(items as Node, where)}]`;
    return `tuple[${items.map((item: Node) => pythonType(item, where)).join(', ')}]`;
  }
  if (node.type === 'object') {
    if (node.$id !== undefined) return node.$id;
    const value = Object.values(node.patternProperties ?? {})[0];
    if (value !== undefined) return `dict[str, ${pythonType(value, where)}]`;
    throw new Error(`${where}: nested object without $id; name it`);
  }
  if (Object.keys(node).every((key) => key === 'description')) return 'Any';
  throw new Error(`${where}: cannot express ${JSON.stringify(node)}`);
}

function struct(node: Node): string {
  const name = node.$id ?? '';
  const properties = Object.entries(node.properties ?? {});
  const tag = properties.find(([field, schema]) => field === 't' && schema.const !== undefined);
  const optional = (field: string): boolean => !(node.required ?? []).includes(field);
  const options = [
    ...(tag === undefined ? [] : [`tag_field="t"`, `tag=${JSON.stringify(tag[1].const)}`]),
    ...(properties.some(([field]) => optional(field)) ? ['omit_defaults=True'] : []),
  ];
  const fields = properties
    .filter((entry) => entry !== tag)
    .sort(([a], [b]) => Number(optional(a)) - Number(optional(b)))
    .map(([field, schema]) => {
      const type = pythonType(schema, `${name}.${field}`);
      return { line: `    ${field}: ${optional(field) ? `${type} | None = None` : type}`, field, schema };
    });
  const notes = fields
    .filter(({ schema }) => schema.description !== undefined && schema.$id === undefined)
    .map(({ field, schema }) => `    ${field}: ${schema.description}`);
  const summary = node.description ?? `\`${name}\` of the wire contract.`;
  const doc = notes.length === 0 ? [`    """${summary}"""`] : [`    """${summary}`, '', ...notes, '    """'];
  const head = `class ${name}(${['msgspec.Struct', 'frozen=True', ...options].join(', ')}):`;
  return [head, ...doc, ...(fields.length === 0 ? [] : ['', ...fields.map(({ line }) => line)])].join('\n');
}

const isNamed = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && (value as Node).$id !== undefined;

/** By name: the order of a module's exports differs between loaders. */
function structsOf(modules: readonly object[]): string[] {
  return modules
    .flatMap((module) => Object.values(module).filter(isNamed))
    .sort((a, b) => ((a.$id ?? '') < (b.$id ?? '') ? -1 : 1))
    .map((node) => `\n${struct(node)}`);
}

function union(schema: unknown): string {
  return ((schema as Node).anyOf ?? []).map(({ $id }) => $id).join(' | ');
}

const HEAD =
  '"""The wire contract, generated from src/protocol by `npm run generate`: do not edit."""\n\nfrom __future__ import annotations\n\nfrom typing import Any\n\nimport msgspec';

function ranks(): string {
  const methods = Object.entries(METHODS).map(([name, [params]]) => `    ${JSON.stringify(name)}: ${params ?? 'Any'},`);
  return `${[
    HEAD,
    `PROTOCOL_VERSION = ${PROTOCOL_VERSION}`,
    ...structsOf([values, training, launch, frames]),
    `\nFromRank = ${union(frames.FromRank)}\nToRank = ${union(frames.ToRank)}`,
    `METHOD_PARAMS: dict[str, Any] = {\n${methods.join('\n')}\n}\n"""Type of the parameters of each method."""`,
  ].join('\n\n')}\n`;
}

function actors(): string {
  const { FromClient, ToClient, ToWorker, FromWorker } = work;
  const unions = Object.entries({ FromClient, ToClient, ToWorker, FromWorker }).map(
    ([name, all]) => `${name} = ${union(all)}`,
  );
  return `${[HEAD, `WORK_PROTOCOL = ${work.WORK_PROTOCOL}`, ...structsOf([work]), `\n${unions.join('\n')}`].join('\n\n')}\n`;
}

/** A generated file, and what must be in it. */
export interface Generated {
  /** Where it belongs in a checkout. */
  readonly file: string;
  readonly text: string;
}

/** Every file that is generated. */
export function generatePython(): readonly Generated[] {
  const at = (path: string): string => fileURLToPath(new URL(`../../python-workers/${path}`, import.meta.url));
  return [
    { file: at('twinkle_worker/protocol.py'), text: ranks() },
    { file: at('twinkle_node/core/protocol.py'), text: actors() },
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { file, text } of generatePython()) writeFileSync(file, text);
}
