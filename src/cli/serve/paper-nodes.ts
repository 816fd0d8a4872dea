/** Reads the file of `serve --dry-run --nodes`: the nodes of a cluster on paper. */
import { readFile } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { TwinkleError } from '../../errors.js';
import { type DescribedNode, parseNodes } from '../../scheduler/node-spec.js';

/**
 * Read and check.
 * @param file as written; relative to `cwd`
 * @throws `CONFIG_INVALID` when it cannot be read or is no YAML, `PLACEMENT_INVALID` when it describes no nodes
 */
export async function readPaperNodes(file: string, cwd: string): Promise<DescribedNode[]> {
  let text: string;
  try {
    text = await readFile(isAbsolute(file) ? file : resolve(cwd, file), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : (code ?? String(error));
    throw new TwinkleError('CONFIG_INVALID', `cannot read the nodes of ${file}: ${why}`, { cause: error });
  }
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { prettyErrors: false });
  const [first] = document.errors;
  if (first !== undefined) throw new TwinkleError('CONFIG_INVALID', `${file}: ${first.message}`);
  return parseNodes(document.toJS(), file);
}

/** The kinds of devices that any of them has. */
export function deviceKinds(nodes: readonly DescribedNode[]): ReadonlySet<'GPU' | 'NPU'> {
  const has = (kind: 'GPU' | 'NPU'): boolean => nodes.some(({ total }) => (total.get(kind) ?? 0) > 0);
  return new Set((['GPU', 'NPU'] as const).filter(has));
}
