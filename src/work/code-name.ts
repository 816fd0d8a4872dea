/** `module.py:Name` and `package.module:Name`: how programs in Node name what Python runs. Pure but for paths. */
import { resolve } from 'node:path';
import { TwinkleError } from '../errors.js';

/** A function or class in Python, as its key travels: workers import it by that. */
export interface CodeName {
  readonly key: string;
  /** Without its module. */
  readonly name: string;
}

const FORM = /^(?<module>[^:]+):(?<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)$/;

/**
 * @param written `file.py:Name` (a path from `folder`), or `package.module:Name`
 * @throws `CONFIG_INVALID`
 */
export function codeName(written: string, folder: string): CodeName {
  const { module, name } = FORM.exec(written)?.groups ?? {};
  if (module === undefined || name === undefined) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected \`file.py:Name\` or \`package.module:Name\` but received \`${written}\``,
    );
  }
  if (module.endsWith('.py')) return { key: `file:${resolve(folder, module)}:${name}`, name };
  if (!/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(module)) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected a file that ends with .py, or a module, before the colon but received \`${module}\``,
    );
  }
  return { key: `import:${module}:${name}`, name };
}
