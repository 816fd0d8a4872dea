/** Loads the addon in a child process first: a bad binary or a vendor library that crashes ends the child, not its user. */
import { execFile } from 'node:child_process';

import { addonCandidates, NATIVE_ABI } from './candidates.js';
import type { LoadReason } from './load-failure.js';
import type { DeviceReport } from './types.js';

/** What a probe found. */
export interface NativeProbe {
  readonly ok: boolean;
  /** The file that loaded; null when none did. */
  readonly path: string | null;
  /** Why each file before it, or every file, was not taken. */
  readonly reasons: readonly LoadReason[];
  /** Signal that ended the child, e.g. `SIGSEGV`: the addon or a vendor library crashed. */
  readonly signal: string | null;
  /** Devices as the child saw them; null unless ok. */
  readonly devices: DeviceReport | null;
}

// Plain CommonJS, because the child must run without our own modules: they may be TypeScript (tests).
const script = `
const [abi, ...paths] = process.argv.slice(1);
const reasons = [];
for (const path of paths) {
  require('node:fs').writeSync(2, path + '\\n');
  try {
    const addon = require(path);
    if (String(addon.abi) !== abi) throw new Error('its ABI is ' + addon.abi + ' and ' + abi + ' is needed');
    addon.cpu();
    process.stdout.write(JSON.stringify({ path, reasons, devices: addon.devices() }));
    return;
  } catch (error) {
    reasons.push({ path, reason: String(error.message).split('\\n', 1)[0] });
  }
}
process.stdout.write(JSON.stringify({ path: null, reasons, devices: null }));
`;

interface Answer {
  readonly path: string | null;
  readonly reasons: readonly LoadReason[];
  readonly devices: DeviceReport | null;
}

function parse(stdout: string): Answer | null {
  try {
    return JSON.parse(stdout) as Answer;
  } catch {
    return null;
  }
}

/**
 * Loads the addon in a child and asks it for CPUs and devices. Never rejects for a bad addon.
 * @param paths files to try, best first
 * @param timeoutMs the child is killed after this time: a driver may hang
 */
export async function probeNative(
  paths: readonly string[] = addonCandidates(),
  timeoutMs = 30_000,
): Promise<NativeProbe> {
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 << 20 } as const;
    execFile(
      process.execPath,
      ['-e', `(() => {${script}})()`, String(NATIVE_ABI), ...paths],
      options,
      (error, stdout, stderr) => {
        const answer = error === null ? parse(stdout) : null;
        if (answer !== null) {
          resolve({ ok: answer.path !== null, signal: null, ...answer });
          return;
        }
        // The child names each file before it loads it: the last one is the culprit.
        const path = stderr.split('\n').findLast((line) => paths.includes(line)) ?? paths[0] ?? '';
        const signal = error?.signal ?? null;
        const ended =
          error?.killed === true
            ? `no answer within ${timeoutMs} ms`
            : `the child that loaded it ended by ${signal ?? `exit code ${String(error?.code)}`}`;
        resolve({ ok: false, path: null, reasons: [{ path, reason: ended }], signal, devices: null });
      },
    );
  });
}
