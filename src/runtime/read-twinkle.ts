/** The file of a Twinkle Server from disk or standard input to its configuration. Wiring only. */
import { homedir } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { expandHome } from '../config/model.js';
import { OPTION_KEYS } from '../config/options.js';
import { type CompiledTwinkle, compileTwinkle, type TwinkleSource } from '../config/twinkle/compile.js';
import { checkEngineArgs } from '../engines/args.js';
import { configText } from './config-text.js';

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
export async function readTwinkle(request: TwinkleRequest): Promise<CompiledTwinkle> {
  const text = await configText(request.file, pathOf(request, request.file), 'the YAML file of a server');
  return await compileText(text, request);
}

/** As {@link readTwinkle}, of its text. */
export async function compileText(text: string, request: TwinkleRequest): Promise<CompiledTwinkle> {
  const { env, file } = request;
  const path = file === '-' ? 'stdin' : file;
  return await compileTwinkle({ text, path, env, resolve: (written) => pathOf(request, written), engineArgs });
}

function pathOf({ cwd, env }: Omit<TwinkleRequest, 'file'>, written: string): string {
  const expanded = expandHome(written, env.HOME || homedir());
  return isAbsolute(expanded) ? expanded : resolve(cwd, expanded);
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
