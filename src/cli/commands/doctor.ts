/** `doctor`: every check one line, OK, -- (a fact), WARN or FAIL, with what to do. */

import { asTwinkleError, EXIT, TwinkleError } from '../../errors.js';
import { type Check, type DoctorScope, type Finding, fail } from '../doctor/check.js';
import { checkLimits, checkNode, checkShm, checkTools } from '../doctor/machine.js';
import { checkNative } from '../doctor/native.js';
import { checkHome, checkLeftovers, checkPort } from '../doctor/place.js';
import { checkPython } from '../doctor/python.js';
import { homeFolder } from '../home.js';
import type { Handler } from '../io.js';
import { painter } from '../render/style.js';

const CHECKS: readonly (readonly [string, Check])[] = [
  ['node', checkNode],
  ['addon', checkNative],
  ['limits', checkLimits],
  ['shm', checkShm],
  ['python', checkPython],
  ['port', checkPort],
  ['home', checkHome],
  ['leftovers', checkLeftovers],
  ['tools', checkTools],
];

/** See {@link Handler}. Exit code: 0, or that of the first FAIL. */
export const run: Handler = async (command, context) => {
  const { io } = context;
  const flags = command.opts<{ home?: string; json?: boolean; port: string }>();
  const port = Number(flags.port);
  if (!/^\d+$/.test(flags.port) || port < 1 || port > 65_535) {
    throw new TwinkleError('USAGE', `expected a port from 1 to 65535 for \`--port\` but received "${flags.port}"`);
  }
  const scope: DoctorScope = { ...context, home: homeFolder(flags.home, io), port };
  const paint = painter(io.stdout, io.env);
  const words = {
    ok: paint('green', 'OK  '),
    note: paint('dim', '--  '),
    warn: paint('yellow', 'WARN'),
    fail: paint('red', 'FAIL'),
  };
  let exit: number = EXIT.ok;
  for (const [name, check] of CHECKS) {
    for (const finding of await look(name, check, scope)) {
      if (finding.level === 'fail' && exit === EXIT.ok) exit = finding.exit;
      if (flags.json === true) io.stdout.write(`${JSON.stringify(finding)}\n`);
      else {
        const fix = finding.fix === null ? '' : `\n      ${paint('dim', `→ ${finding.fix}`)}`;
        io.stdout.write(`${words[finding.level]}  ${finding.message}${fix}\n`);
      }
    }
  }
  return exit;
};

/** A check that breaks is a finding, too: the others go on. */
async function look(name: string, check: Check, scope: DoctorScope): Promise<Finding[]> {
  try {
    return await check(scope);
  } catch (error) {
    return [
      fail(
        name,
        `the check itself failed: ${asTwinkleError(error).message}`,
        'report it with the output of twinkle-node inspect',
      ),
    ];
  }
}
