/** Interim loader. */
import { createRequire } from 'node:module';
import type { Native } from './types.js';

let native: Native | null = null;

export function loadNative(): Native {
  native ??= createRequire(import.meta.url)('../../build/Release/twinkle.node') as Native;
  return native;
}
