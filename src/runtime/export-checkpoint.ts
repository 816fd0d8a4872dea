/** Copies of checkpoints in folders that clients name: only where nobody but this machine's own users can ask. */
import { constants } from 'node:fs';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import type { Exports } from '../twinkle/exports.js';

const refused = (code: 'INVALID_REQUEST' | 'UNSUPPORTED_PARAMETER', message: string): TwinkleError =>
  new TwinkleError(code, message, { param: 'save_dir' });

/** @param allowed whether only users of this machine can ask */
export function exportsFor(allowed: boolean): Exports {
  return {
    check: (folder) => {
      if (!allowed)
        throw refused(
          'UNSUPPORTED_PARAMETER',
          'this server is asked from elsewhere, so clients name no folders of its disk: leave `save_dir` out, and download what was saved',
        );
      if (typeof folder === 'string' && isAbsolute(folder) && !folder.includes('\0')) return folder;
      throw refused(
        'INVALID_REQUEST',
        `expected the absolute path of a folder for \`save_dir\` but received ${JSON.stringify(folder)?.slice(0, 80)}`,
      );
    },
    copy: async (files, folder, below) => {
      const target = join(folder, ...below);
      const draft = `${target}.new`;
      try {
        await rm(draft, { recursive: true, force: true });
        await mkdir(draft, { recursive: true });
        for (const { name, path } of files) await copyFile(path, join(draft, name), constants.COPYFILE_FICLONE);
        await rm(target, { recursive: true, force: true });
        await rename(draft, target);
      } catch (error) {
        await rm(draft, { recursive: true, force: true }).catch(() => {});
        const code = (error as NodeJS.ErrnoException).code ?? String(error);
        throw new TwinkleError('STORAGE_FAILED', `it is saved, and could not be copied to \`save_dir\`: ${code}`, {
          cause: error,
        });
      }
      return target;
    },
  };
}
