/** The file of a Twinkle Server from disk or standard input to its configuration. Wiring only. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { expandHome } from '../config/model.js';
import { OPTION_KEYS } from '../config/options.js';
import { type CompiledTwinkle, compileTwinkle, type TwinkleSource } from '../config/twinkle/compile.js';
import { checkEngineArgs } from '../engines/args.js';
import { TwinkleError } from '../errors.js';

/** Which, and what it is read with. */
export interface TwinkleRequest {
  /** `-`: standard input. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths count from. */
  readonly cwd: string;
}

/**
 * Read and compile it. Looks at nothing else.
 * @throws `CONFIG_INVALID` with a line for each thing that is wrong
 */
export async function readTwinkle({ file, env, cwd }: TwinkleRequest): Promise<CompiledTwinkle> {
  const path = (written: string): string => {
    const expanded = expandHome(written, env.HOME || homedir());
    return isAbsolute(expanded) ? expanded : resolve(cwd, expanded);
  };
  const text = await textOf(file, path(file));
  return await compileTwinkle({ text, path: file === '-' ? 'stdin' : file, env, resolve: path, engineArgs });
}

/** What the engines say of `engine_args`. */
export const engineArgs: TwinkleSource['engineArgs'] = (engine, args, warn) => {
  const written = args.map(({ name, value, origin }) => ({ name, value, where: origin.name }));
  if (engine !== 'mock') return checkEngineArgs(engine, written, OPTION_KEYS, warn);
  // A rehearsal of what vLLM would be given: checked, and not passed on.
  checkEngineArgs('vllm', written, OPTION_KEYS, warn);
  if (args.length > 0) warn(`the mock engine makes no use of ${args.map(({ name }) => `\`${name}\``).join(', ')}`);
  return {};
};

async function textOf(file: string, path: string): Promise<string> {
  if (file === '-') {
    const { text } = await import('node:stream/consumers');
    return await text(process.stdin);
  }
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? `there is no ${file}` : `${file} cannot be read: ${code ?? String(error)}`;
    throw new TwinkleError('CONFIG_INVALID', `expected the YAML file of a server, but ${why}`, { cause: error });
  }
}
