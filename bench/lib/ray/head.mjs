/** Process of a head without devices of its own: argv is its home. Ends when its parent lets go of it. */
import { join } from 'node:path';
import { DEFAULT_TIMERS } from '../../../dist/cluster/types.js';
import { loadNative } from '../../../dist/native/load.js';
import { fileLogger } from '../../../dist/observability/logger.js';
import { startClusterDaemon } from '../../../dist/runtime/cluster-daemon.js';

const home = process.argv[2];
const log = fileLogger('info', join(home, 'head.log'));
const timers = DEFAULT_TIMERS;
const daemon = await startClusterDaemon({ home, node: null, timers, native: loadNative(), log, instance: 'bench' });
process.once('disconnect', async () => {
  await daemon[Symbol.asyncDispose]();
  log.close();
});
process.send(daemon.address);
