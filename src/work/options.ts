/** Options of tasks and actors as programs write them, checked, and what they need of a worker. Pure. */
import { TwinkleError } from '../errors.js';
import type { Demand } from '../protocol/work.js';
import { didYouMean } from '../util/did-you-mean.js';

/** A place in a placement group. */
export interface InPlacementGroup {
  readonly placementGroup: { readonly id: string; readonly bundles: readonly unknown[] };
  /** Default: any bundle that has room. */
  readonly bundleIndex?: number;
}

/** A certain node. */
export interface OnNode {
  readonly nodeId: string;
  /** Another one will do when that one is not there. Default false. */
  readonly soft?: boolean;
}

/** What the worker finds around it. */
export interface RuntimeEnvOptions {
  /** Variables, over those of the head. */
  readonly envVars?: Readonly<Record<string, string>>;
  /** Lines of a requirements file: an environment with them is made once, and kept. */
  readonly pip?: readonly string[];
}

/** What tasks and actors share. */
export interface WorkOptions {
  /** Default: 1 for tasks; an actor is placed where one is free, and holds none. */
  readonly numCpus?: number;
  /** May be a fraction of one. Default 0. */
  readonly numGpus?: number;
  /** Bytes. */
  readonly memory?: number;
  /** Custom resources of nodes. */
  readonly resources?: Readonly<Record<string, number>>;
  readonly acceleratorType?: string;
  /** Label → expression. */
  readonly labelSelector?: Readonly<Record<string, string>>;
  /** Default `DEFAULT`. */
  readonly schedulingStrategy?: 'DEFAULT' | 'SPREAD' | OnNode | InPlacementGroup;
  readonly runtimeEnv?: RuntimeEnvOptions;
}

/** Options of a task. */
export interface TaskOptions extends WorkOptions {
  /** When its worker dies; -1: without end. Default 3. */
  readonly maxRetries?: number;
  /** Exceptions use them up, too. Default false. */
  readonly retryExceptions?: boolean;
}

/** Options of an actor. */
export interface ActorOptions extends WorkOptions {
  /** By which others find it. */
  readonly name?: string;
  /** Default: that of the runtime. */
  readonly namespace?: string;
  /** `detached`: it outlives this program, and ends by `kill`. */
  readonly lifetime?: 'detached';
  /** The one of that name, if there is one. Default false. */
  readonly getIfExists?: boolean;
  /** How often its process is started again; -1: without end. Default 0. */
  readonly maxRestarts?: number;
  /** How often a call that was running when it died is sent again. Default 0. */
  readonly maxTaskRetries?: number;
  /** Calls at once. Default 1, or 1,000 of a class with coroutines. */
  readonly maxConcurrency?: number;
  /** Name → calls at once, for methods of that group. */
  readonly concurrencyGroups?: Readonly<Record<string, number>>;
  /** More calls that wait are refused (`OVERLOADED`). Default: without end. */
  readonly maxPendingCalls?: number;
}

type Check = readonly [expected: string, holds: (value: unknown) => boolean];

const AMOUNT: Check = ['a number ≥ 0', isAmount];
const TEXT: Check = ['text that is not empty', (value) => typeof value === 'string' && value !== ''];
const FLAG: Check = ['true or false', (value) => typeof value === 'boolean'];

const WORK: Readonly<Record<keyof WorkOptions, Check>> = {
  numCpus: AMOUNT,
  numGpus: AMOUNT,
  memory: ['bytes, a number ≥ 0', isAmount],
  resources: ['an object of numbers ≥ 0', (value) => recordOf(value, isAmount)],
  acceleratorType: TEXT,
  labelSelector: ['an object of texts', (value) => recordOf(value, isText)],
  schedulingStrategy: [
    "'DEFAULT', 'SPREAD', { nodeId } or { placementGroup }",
    (value) => value === 'DEFAULT' || value === 'SPREAD' || isNode(value) || isPlace(value),
  ],
  runtimeEnv: ['an object with envVars and pip', isRuntimeEnv],
};
const TASK: Readonly<Record<keyof TaskOptions, Check>> = { ...WORK, maxRetries: count(-1), retryExceptions: FLAG };
const ACTOR: Readonly<Record<keyof ActorOptions, Check>> = {
  ...WORK,
  name: TEXT,
  namespace: TEXT,
  lifetime: ["'detached'", (value) => value === 'detached'],
  getIfExists: FLAG,
  maxRestarts: count(-1),
  maxTaskRetries: count(-1),
  maxConcurrency: count(1),
  concurrencyGroups: ['an object of whole numbers ≥ 1', (value) => recordOf(value, count(1)[1])],
  maxPendingCalls: count(1),
};

/** Throws `CONFIG_INVALID` for an option that is none, or has a wrong value. */
export function checkTaskOptions(options: TaskOptions): void {
  check(options, TASK);
}

/** Throws `CONFIG_INVALID` for an option that is none, or has a wrong value. */
export function checkActorOptions(options: ActorOptions): void {
  check(options, ACTOR);
}

/**
 * What a worker with those options needs.
 * @throws `CONFIG_INVALID`
 */
export function demandOf(options: WorkOptions, defaultCpus: number): Demand {
  const { numCpus, numGpus, memory, acceleratorType, schedulingStrategy: strategy, runtimeEnv } = options;
  const resources: Record<string, number> = {};
  for (const [name, amount] of [
    ['CPU', numCpus ?? defaultCpus],
    ['GPU', numGpus],
    ['memory', memory],
  ] as const) {
    if (amount) resources[name] = amount;
  }
  for (const [name, amount] of Object.entries(options.resources ?? {})) {
    if (name === 'CPU' || name === 'GPU' || name === 'memory') {
      throw wrong(`\`${name}\` is no custom resource: use numCpus, numGpus or memory`);
    }
    if (amount > 0) resources[name] = amount;
  }
  if (acceleratorType !== undefined) resources[`accelerator_type:${acceleratorType}`] = 0.001;
  return {
    resources,
    strategy: isNode(strategy) ? 'node' : strategy === 'SPREAD' ? 'spread' : 'default',
    node: isNode(strategy) ? strategy.nodeId : '',
    soft: isNode(strategy) ? (strategy.soft ?? false) : false,
    selectors: { ...options.labelSelector },
    group: isPlace(strategy) ? placeOf(strategy) : null,
    env: { ...runtimeEnv?.envVars },
    ...(runtimeEnv?.pip?.length
      ? { runtime_env: { packages: [...runtimeEnv.pip], options: [], stamp: '', folder: '', modules: [] } }
      : {}),
  };
}

function placeOf({ placementGroup: { id, bundles }, bundleIndex = -1 }: InPlacementGroup): Demand['group'] {
  if (!Number.isInteger(bundleIndex) || bundleIndex < -1 || bundleIndex >= bundles.length) {
    throw wrong(
      `expected -1 or a bundle from 0 to ${bundles.length - 1} for \`bundleIndex\` but received ${bundleIndex}`,
    );
  }
  return { group: id, bundle: bundleIndex };
}

function check(options: object, known: Readonly<Record<string, Check>>): void {
  for (const [name, value] of Object.entries(options)) {
    const found = Object.hasOwn(known, name) ? known[name] : undefined;
    if (found === undefined) throw wrong(`unknown option \`${name}\`${didYouMean(name, Object.keys(known))}`);
    if (value !== undefined && !found[1](value))
      throw wrong(`expected ${found[0]} for \`${name}\` but received ${shown(value)}`);
  }
}

function count(least: number): Check {
  return [`a whole number ≥ ${least}`, (value) => Number.isSafeInteger(value) && (value as number) >= least];
}

function isAmount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function recordOf(value: unknown, holds: (one: unknown) => boolean): boolean {
  return isObject(value) && Object.values(value).every(holds);
}

function isNode(value: unknown): value is OnNode {
  return isObject(value) && typeof value.nodeId === 'string';
}

function isPlace(value: unknown): value is InPlacementGroup {
  return isObject(value) && isObject(value.placementGroup) && typeof value.placementGroup.id === 'string';
}

function isRuntimeEnv(value: unknown): boolean {
  if (!isObject(value) || Object.keys(value).some((key) => key !== 'envVars' && key !== 'pip')) return false;
  const { envVars = {}, pip = [] } = value;
  return recordOf(envVars, isText) && Array.isArray(pip) && pip.every(isText);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? String(value));
}

function wrong(message: string): TwinkleError {
  return new TwinkleError('CONFIG_INVALID', message);
}
