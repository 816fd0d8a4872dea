/** Where the addon's file may lie, the same from `src` (tests) and `dist`. Loads nothing. */
import { fileURLToPath } from 'node:url';

/** ABI of the addon's surface that this version speaks; `kAbi` of native/addon.cc. */
export const NATIVE_ABI = 2;

/** Folder of the package: this file is two levels below it in `src` as in `dist`. */
export function packageRoot(): string {
  return fileURLToPath(new URL('../../', import.meta.url));
}

/**
 * Files to try, best first: only `TWINKLE_NATIVE` when it is set; else the local build, then the packaged one.
 * @param root folder of the package
 */
export function addonCandidates(env: NodeJS.ProcessEnv = process.env, root: string = packageRoot()): readonly string[] {
  const wanted = env.TWINKLE_NATIVE;
  if (wanted !== undefined && wanted !== '') return [wanted];
  return [`${root}build/Release/twinkle.node`, `${root}dist/native/${process.platform}-${process.arch}/twinkle.node`];
}
