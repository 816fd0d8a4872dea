/**
 * From the text of a Twinkle Server's file to its configuration: references followed, spellings of before read, defaults in, relations checked.
 * Looks at nothing but the file and the environment.
 */

import type { Origin } from '../settings.js';
import type { EngineName } from '../types.js';
import { entry, inside, isItems, isMap, type Located, parseYaml, plain } from '../yaml-tree.js';
import { compileApplication } from './application.js';
import { complete, type FileSchema } from './complete.js';
import { withServer } from './implied.js';
import { interpolate } from './interpolation.js';
import { readPersistence } from './persistence.js';
import { Problems } from './problems.js';
import { checkSupported, refuseOtherAddress, refuseTwins } from './relations.js';
import { refuseShared } from './routes.js';
import { ARGS, FILE, type FileFields, type Kind } from './schema.js';
import { respell } from './spellings.js';
import type { TwinkleConfig } from './types.js';
import { validate } from './validate.js';

/** What the file is about besides its text. */
export interface TwinkleSource {
  readonly text: string;
  /** As messages name it. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A relative path is read from here. @returns absolute */
  readonly resolve: (path: string) => string;
  /** What an engine says of its arguments. @throws `CONFIG_INVALID` */
  readonly engineArgs: (
    engine: EngineName,
    args: readonly TwinkleEngineArg[],
    warn: (sentence: string) => void,
  ) => Record<string, unknown>;
}

/** An entry of `engine_args`. */
export interface TwinkleEngineArg {
  readonly name: string;
  readonly value: unknown;
  readonly origin: Origin;
}

export interface CompiledTwinkle {
  readonly config: TwinkleConfig;
  /** All values in the names of today, each with where it came from. */
  readonly resolved: Located;
  readonly warnings: readonly string[];
}

/**
 * Compile.
 * @throws `CONFIG_INVALID` with a line for each thing that is wrong
 */
export async function compileTwinkle(source: TwinkleSource): Promise<CompiledTwinkle> {
  const { text, path, env } = source;
  const empty: Located = { origin: { source: 'yaml', name: '', at: `${path}:1:1` }, value: new Map() };
  const tree = (await parseYaml(text, path)) ?? empty;
  const problems = new Problems();
  const named = withServer(respell(interpolate(tree, env), problems));
  const filled = complete(FILE as FileSchema, named);
  const fits = validate(FILE as FileSchema, filled, problems);
  if (!isMap(filled.value)) problems.throwIfAny();
  const applications = inside(filled, ['applications']);
  const written = applications !== null && isItems(applications.value) ? applications.value : [];
  const resolved = written.map((one) => completeArgs(one, problems));
  if (!fits || resolved.includes(null)) problems.throwIfAny();
  const file = plain(filled) as FileFields;
  const compiled = (resolved as Located[]).map((one) => compileApplication(one, source, problems));
  if (compiled.length === 0) problems.warn(filled.origin, 'there are no `applications`: nothing is served');
  refuseTwins(resolved as Located[], problems);
  refuseShared(
    compiled.map(({ name, prefixes }, at) => ({
      name,
      prefixes,
      origin: entry(resolved[at] as Located, 'route_prefix').origin,
    })),
    problems,
  );
  refuseOtherAddress(resolved as Located[], file, problems);
  checkSupported(compiled, resolved as Located[], problems);
  const config: TwinkleConfig = {
    namespace: file.ray_namespace ?? 'twinkle_cluster',
    proxyLocation: file.proxy_location ?? 'HeadOnly',
    http: file.http_options,
    telemetry: {
      enabled: file.telemetry.enabled,
      serviceName: file.telemetry.service_name,
      endpoint: file.telemetry.otlp_endpoint,
      debug: file.telemetry.debug,
      exportIntervalMs: file.telemetry.export_interval_ms,
      resourceAttributes: file.telemetry.resource_attributes,
    },
    persistence: readPersistence(file.persistence, filled, source.resolve, problems),
    applications: compiled,
  };
  problems.throwIfAny();
  const whole =
    isMap(filled.value) && applications !== null
      ? new Map(filled.value).set('applications', { ...applications, value: resolved as Located[] })
      : filled.value;
  return { config, resolved: { ...filled, value: whole }, warnings: problems.warnings };
}

/** An application whose `args` fit its kind; null: they do not. */
function completeArgs(app: Located, problems: Problems): Located | null {
  const kind = inside(app, ['import_path'])?.value;
  const args = inside(app, ['args']);
  if (!isMap(app.value) || args === null || typeof kind !== 'string' || !Object.hasOwn(ARGS, kind)) return null; // refused
  const schema = ARGS[kind as Kind] as FileSchema;
  const filled = complete(schema, args);
  return validate(schema, filled, problems) ? { ...app, value: new Map(app.value).set('args', filled) } : null;
}
