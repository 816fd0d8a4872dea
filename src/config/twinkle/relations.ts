/** What applications of one file owe each other. Pure. */
import { didYouMean } from '../../util/did-you-mean.js';
import { entry, inside, type Located, plain } from '../yaml-tree.js';
import type { Problems } from './problems.js';
import type { ArgsOf, FileFields } from './schema.js';
import type { Application } from './types.js';

/** Names differ, and one application is the server. */
export function refuseTwins(apps: readonly Located[], problems: Problems): void {
  const seen = new Map<unknown, Located>();
  for (const app of apps) {
    const name = entry(app, 'name');
    const earlier = seen.get(name.value);
    if (earlier !== undefined)
      problems.add(
        name.origin,
        `${JSON.stringify(name.value)} is the name of ${earlier.origin.name}, too; names must differ`,
      );
    else seen.set(name.value, app);
  }
  const servers = apps.filter((app) => inside(app, ['import_path'])?.value === 'server');
  for (const server of servers.slice(1))
    problems.add(server.origin, 'is a second server; one answers for all applications');
}

/** A name that nothing serves is mistyped, or its application is missing. */
export function checkSupported(apps: readonly Application[], fields: readonly Located[], problems: Problems): void {
  const names = apps.flatMap((app) => (app.kind === 'model' || app.kind === 'sampler' ? [app.modelName] : []));
  apps.forEach((app, at) => {
    if (app.kind !== 'server') return;
    const field = entry(inside(fields[at] as Located, ['args']) as Located, 'supported_models');
    (app.supportedModels ?? []).forEach((name, index) => {
      if (names.includes(name)) return;
      const { origin } = inside(field, [index]) ?? field;
      problems.warn(origin, `no application serves ${name}${didYouMean(name, names)}`);
    });
  });
}

/** What a server says of its address, it says again. */
export function refuseOtherAddress(
  apps: readonly Located[],
  { http_options: http }: FileFields,
  problems: Problems,
): void {
  for (const app of apps) {
    if (inside(app, ['import_path'])?.value !== 'server') continue;
    const args = inside(app, ['args']) as Located;
    const { http_options: own, route_prefix: prefix } = plain(args) as ArgsOf<'server'>;
    if (own !== null && (own.host !== http.host || own.port !== http.port)) {
      problems.add(
        entry(args, 'http_options').origin,
        `differs from that of the file (${http.host}:${http.port}), which counts; leave it out`,
      );
    }
    const written = inside(app, ['route_prefix'])?.value;
    if (prefix !== null && prefix !== written) {
      problems.add(
        entry(args, 'route_prefix').origin,
        `differs from that of the application (${String(written)}), which counts; leave it out`,
      );
    }
  }
}
