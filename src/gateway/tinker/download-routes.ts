/** Files of checkpoints, by links that need no key. */
import { createReadStream } from 'node:fs';
import { TwinkleError } from '../../errors.js';
import { pathText, readPath } from '../../training/checkpoint-path.js';
import type { RouteSpec } from '../http/routes.js';
import { pathOf } from './checkpoint-routes.js';
import { FileLinks } from './file-links.js';
import type { TinkerCall, TinkerRoutes } from './route.js';

const LINK_MS = 3_600_000;

export function downloadRoutes(routes: TinkerRoutes): RouteSpec[] {
  const links = new FileLinks(Date.now);
  const { training } = routes;

  function urls(call: TinkerCall): object {
    const { request, tenant } = call;
    const path = pathOf(call);
    const { expires } = training.checkpoints.readable(tenant, path);
    const until = Math.min(Date.now() + LINK_MS, expires ?? Number.POSITIVE_INFINITY);
    const checkpoint = pathText(path);
    const here = `${request.protocol}://${request.host}/api/v1/files`;
    const files = training.checkpoints.list(tenant, path).map(({ name }) => {
      return [name, `${here}/${links.seal({ tenant, checkpoint, file: name }, until)}/${name}`] as const;
    });
    return { urls: Object.fromEntries(files), expires: new Date(until).toISOString() };
  }

  return [
    routes.get(
      'training_runs/:id/checkpoints/:kind/:name/external_weights_urls',
      'Links to the files of a checkpoint.',
      urls,
    ),
    routes.open('files/:link/:name', 'A file of a checkpoint.', async (request, reply) => {
      const { checkpoint, file, tenant } = links.open((request.params as { link: string }).link);
      const path = readPath(checkpoint);
      const found = training.checkpoints.list(tenant, path).find(({ name }) => name === file);
      if (found === undefined)
        throw new TwinkleError('CHECKPOINT_NOT_FOUND', `checkpoint \`${checkpoint}\` has no file ${file}`);
      await training.checkpoints.bring(tenant, path);
      reply.header('content-length', found.bytes).type('application/octet-stream');
      return reply.send(createReadStream(found.path));
    }),
  ];
}
