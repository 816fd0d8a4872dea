/** `deployments` of an application: replicas, when there are more of them, and what each holds. Pure. */
import { Field } from '../field.js';
import { readDeployment } from '../llm-deployment.js';
import type { Bundle } from '../types.js';
import { inside, isItems, isMap, type Located, type LocatedMap, plain } from '../yaml-tree.js';
import { readNumber } from './complete.js';
import type { Problems } from './problems.js';
import type { TwinkleDeployment } from './types.js';

/** As if nothing was written: Ray Serve runs one replica. */
const NONE: TwinkleDeployment = {
  replicas: 1,
  autoscaling: null,
  maxOngoing: null,
  maxQueued: null,
  resources: {},
  envVars: {},
};

/** @param written the list; the first of it counts */
export function readDeployments(written: Located, problems: Problems): TwinkleDeployment {
  const items = isItems(written.value) ? written.value : [];
  const [first, second] = items;
  if (second !== undefined) problems.warn(second.origin, `of \`${written.origin.name}\` only the first counts`);
  if (first === undefined) return NONE;
  if (!isMap(first.value)) return NONE; // the schema has refused it
  try {
    return read(first, first.value, problems);
  } catch (error) {
    problems.take(error, first.origin);
    return NONE;
  }
}

function read(whole: Located, entries: LocatedMap, problems: Problems): TwinkleDeployment {
  // Its name is free text, and what follows is of the whole application here.
  const { name: _, ray_actor_options: actor, request_router_config: router, ...others } = numbersIn(entries);
  if (router !== undefined) {
    problems.add(
      router.origin,
      'requests of a session go to its replica, others to the one with least to do; leave it out',
    );
  }
  const { runtime_env: env, num_gpus: gpus, ...held } = isMap(actor?.value) ? numbersIn(actor.value) : {};
  const rest = new Map(Object.entries(others));
  if (actor !== undefined)
    rest.set('ray_actor_options', isMap(actor.value) ? { ...actor, value: new Map(Object.entries(held)) } : actor);
  const { replicas, autoscaling, maxOngoing, maxQueued, resources, replicaCpus } = readDeployment(
    fieldOf({ ...whole, value: rest }),
  );
  const amounts: Record<string, number> = { ...resources };
  if (replicaCpus !== null) amounts.CPU = replicaCpus.number({ min: 0 });
  const devices = gpus === undefined || gpus.value === null ? 0 : fieldOf(gpus).number({ min: 0 });
  if (devices > 0) amounts.GPU = devices;
  return {
    replicas,
    autoscaling,
    maxOngoing,
    maxQueued,
    resources: amounts as Bundle,
    envVars: env === undefined || env.value === null ? {} : readEnv(env, problems),
  };
}

/** Entries with text that is a number read as one, blocks within included: but for `runtime_env`, whose variables are text. */
function numbersIn(entries: LocatedMap): Record<string, Located> {
  const read = (located: Located): Located => {
    const { origin, value } = located;
    if (isMap(value)) return { origin, value: new Map(Object.entries(numbersIn(value))) };
    return typeof value === 'string' ? { origin, value: readNumber(value) ?? value } : located;
  };
  return Object.fromEntries([...entries].map(([key, item]) => [key, key === 'runtime_env' ? item : read(item)]));
}

function fieldOf(located: Located): Field {
  const place = (path: readonly (string | number)[]): string | null => (inside(located, path) ?? located).origin.at;
  return new Field(plain(located), located.origin.name, 'yaml', place);
}

/** What the runtime itself sets in the processes of an application. */
const OURS =
  /^(CUDA_VISIBLE_DEVICES|ASCEND_RT_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|RANK|LOCAL_RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT)$/;

function readEnv(env: Located, problems: Problems): Record<string, string> {
  const packages =
    'processes run in one environment of Python: make it with `twinkle-node setup`, or name yours by --python';
  const refused = Object.fromEntries(
    ['pip', 'uv', 'conda', 'py_modules', 'working_dir', 'container', 'image_uri'].map((key) => [key, packages]),
  );
  const result: Record<string, string> = {};
  for (const [name, value] of fieldOf(env).fields(['env_vars'], refused).get('env_vars')?.entries() ?? []) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) problems.add(value.origin, 'is no name of a variable');
    else if (OURS.test(name)) problems.add(value.origin, 'is set for each process by its device group; leave it out');
    else if (typeof value.value !== 'string') problems.add(value.origin, 'expected text; write it in quotes');
    else result[name] = value.value;
  }
  return result;
}
