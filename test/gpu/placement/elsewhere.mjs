/** A type of accelerator that this box does not have: through a head it waits, alone it is refused. */
import { cliEnd, eventually, orItsEnd } from '../lib/box.mjs';
import { PYTHON } from '../lib/report.mjs';
import { MOCK } from './scene.mjs';

const OTHER = ['--accelerator-type', 'L4'];
const NAMED = /accelerator_type:L4/;

/** Both ways. */
export async function otherType({ report, box }) {
  const server = box.serve('elsewhere', ...MOCK, ...OTHER);
  try {
    const judged = () => [box.group(server)].find((group) => group?.reason);
    const { value } = await orItsEnd(server, eventually('its group is judged', judged, 30_000));
    const { state, scheduling, reason } = value;
    const right = state === 'PENDING' && scheduling === 'INFEASIBLE' && NAMED.test(reason);
    report.check('--accelerator-type L4 waits as infeasible, and says the type', right, { state, scheduling, reason });
  } finally {
    await server.stop();
  }
  const alone = ['serve', ...MOCK, ...OTHER, '--address', 'local', '--port', '0', '--python', PYTHON];
  const { code, stderr } = await cliEnd(alone, box);
  const refused = code === 3 && NAMED.test(stderr);
  report.check('without a head it is refused at once: exit code 3, with the type', refused, [code, stderr.trim()]);
}
