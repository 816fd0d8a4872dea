/** Checks of where a server would live: its port, its home folder, and what earlier servers left behind. */
import { existsSync, mkdtempSync, rmdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { whyRefused } from '../../config/home-folder.js';
import { formatBytes } from '../../config/quantity.js';
import { EXIT } from '../../errors.js';
import { listInstances } from '../../runtime/instance-file.js';
import { findOrphans } from '../../runtime/orphans.js';
import { describeListener } from '../port-holder.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

const WANTED_DISK = 512 * 1024 * 1024;

/** Whether somebody listens on the port. */
export const checkPort: Check = ({ port, home }) => {
  const holder = describeListener(port);
  if (holder === null) return [ok('port', `port ${port} is free`)];
  const ours = listInstances(home).some(({ file, alive }) => alive && holder.startsWith(`pid ${file.pid} `));
  if (ours) return [ok('port', `port ${port}: our own server (${holder})`)];
  return [fail('port', `port ${port} is held by ${holder}`, 'end it, or serve with another --port', EXIT.portInUse)];
};

/** The home folder: writable, private, with room. */
export const checkHome: Check = ({ home }) => {
  let folder = home;
  while (!existsSync(folder)) folder = dirname(folder);
  try {
    // Rights do not say it all: nothing can be made in /proc, whoever asks.
    rmdirSync(mkdtempSync(join(folder, '.twinkle-')));
  } catch (error) {
    const why = `${home} cannot be the home folder: ${folder}: ${whyRefused(error)}`;
    return [fail('home', why, 'set TWINKLE_HOME to a folder of yours')];
  }
  const findings: Finding[] = [];
  const { bsize, bavail } = statfsSync(folder);
  const free = bsize * bavail;
  if (free < WANTED_DISK)
    findings.push(
      warn('disk', `only ${formatBytes(free)} free in ${folder}`, 'free some space: logs and models need it'),
    );
  if (folder !== home) return [...findings, ok('home', `${home} will be made`)];
  const mode = statSync(home).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    findings.push(
      warn(
        'home',
        `${home} is open to other users (mode ${mode.toString(8)}): it holds logs and keys`,
        `chmod 700 ${home}`,
      ),
    );
  } else findings.push(ok('home', `${home} is writable and private`));
  return findings;
};

/** Files of servers that are gone, and ranks that outlived theirs. */
export const checkLeftovers: Check = ({ home }) => {
  const instances = listInstances(home);
  const stale = instances.filter(({ alive }) => !alive);
  const orphans = findOrphans(new Set(instances.filter(({ alive }) => alive).map(({ file }) => file.instance)));
  const findings: Finding[] = stale.map(({ file, path }) =>
    warn('stale', `instance ${file.instance} (pid ${file.pid}) ended without cleaning up`, `rm ${path}`),
  );
  for (const { pid, instance, command } of orphans) {
    // A server with another home folder is none of our instances, but its ranks have a living parent chain.
    findings.push(
      warn(
        'orphan',
        `pid ${pid} (${command}) belongs to instance ${instance}, which does not run in ${home}`,
        `if it is a leftover: kill ${pid}`,
      ),
    );
  }
  return findings.length > 0 ? findings : [ok('leftovers', 'no stale instance, no orphan process')];
};
