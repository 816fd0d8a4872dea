/** The file of a Twinkle server with mock backends and four applications, from those of its own tests and cookbook; read by both servers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

const fixture = (name) =>
  parse(readFileSync(new URL(`../../../test/fixtures/twinkle/${name}.yaml`, import.meta.url), 'utf8'));
/** Nothing is refused. */
const UNLIMITED = { rps_limit: 1_000_000, tps_limit: 1_000_000_000 };
const MODELS = 1000;

/** The model that the file has. */
export const MODEL = 'mock-model';

/** @returns path of the file in `folder`; `state`: of the file that `persistence: file` writes, null for memory */
export function writeConfig(folder, { port, state = null }) {
  const config = fixture('tests-mock');
  const [processor] = fixture('cookbook-transformer').applications.filter((one) => one.import_path === 'processor');
  config.http_options.port = port;
  config.persistence = state === null ? { mode: 'memory' } : { mode: 'file', file_path: state };
  for (const { args } of config.applications) {
    if (args.queue_config !== undefined) args.queue_config = UNLIMITED;
    if (args.server_config !== undefined) args.server_config.per_token_model_limit = MODELS;
  }
  config.applications.push(processor);
  const path = join(folder, 'server.yaml');
  writeFileSync(path, stringify(config));
  return path;
}
