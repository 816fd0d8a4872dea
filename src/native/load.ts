/** Loads the addon once per thread, and says why when it cannot. */
import { createRequire } from 'node:module';

import { wrapAddon } from './addon.js';
import { addonCandidates, NATIVE_ABI } from './candidates.js';
import { type LoadReason, nativeMissing, reasonOf } from './load-failure.js';
import type { Native } from './types.js';

const require = createRequire(import.meta.url);
let loaded: Native | null = null;

/** Why a loaded file is not ours, or null. */
function misfit(exports: Partial<Native>): string | null {
  if (exports.abi === NATIVE_ABI) return null;
  return `its ABI is ${String(exports.abi)} and ${NATIVE_ABI} is needed: it belongs to another version of twinkle-node`;
}

/**
 * The addon of the first file that loads; cached when it did.
 * @throws TwinkleError `NATIVE_MISSING` with every reason and numbered fixes
 */
export function loadNative(): Native {
  if (loaded !== null) return loaded;
  const reasons: LoadReason[] = [];
  for (const path of addonCandidates()) {
    try {
      const exports = require(path) as Native;
      const reason = misfit(exports);
      if (reason === null) {
        loaded = wrapAddon(exports);
        return loaded;
      }
      reasons.push({ path, reason });
    } catch (thrown) {
      reasons.push({ path, reason: reasonOf(thrown) });
    }
  }
  throw nativeMissing(reasons);
}
