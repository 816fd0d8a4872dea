/** `status`: every running server and standalone head of this home folder. */
import { askStatus } from '../admin.js';
import { homeFolder, runningInstances } from '../home.js';
import type { Handler } from '../io.js';
import type { ListFlags } from '../list/flags.js';
import { present } from '../list/present.js';
import { drawServers, drawServersJson } from '../list/servers.js';
import { painter } from '../render/style.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) => {
  const flags = command.opts<ListFlags>();
  const home = homeFolder(flags.home, io);
  const paint = painter(io.stdout, io.env);
  return present('twinkle-node status', flags, io, async () => {
    const files = runningInstances(home).map(({ file }) => file);
    const all = await Promise.all(files.map(async (file) => ({ file, answer: await askStatus(file) })));
    return flags.json === true ? drawServersJson(all) : drawServers(all, home, Date.now(), paint);
  });
};
