import { expect, test } from 'vitest';
import { whyNotLoaded } from '../../../src/util/absent-library.js';

const MISSING = 'cannot open shared object file: No such file or directory';

test.each([
  [null, 'not loaded'],
  [`libx.so.1: ${MISSING}`, 'not installed'],
  [`libx.so.1: ${MISSING}; /usr/local/x/libx.so: ${MISSING}`, 'not installed'],
  ['exec npu-smi failed with ENOENT (No such file or directory); it is in no folder of PATH (/bin)', 'not installed'],
  ['/opt/libx.so: undefined symbol: xInit', '/opt/libx.so: undefined symbol: xInit'],
  // One file was there and is broken: that is what matters.
  [`/opt/libx.so: wrong ELF class; libx.so: ${MISSING}`, `/opt/libx.so: wrong ELF class; libx.so: ${MISSING}`],
  ['xInit: driver not loaded', 'xInit: driver not loaded'],
])('%j reads %j', (reason, words) => {
  expect(whyNotLoaded(reason)).toBe(words);
});
