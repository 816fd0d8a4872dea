import { describe, expect, it } from 'vitest';
import { checkActorOptions, checkTaskOptions, demandOf, type WorkOptions } from '../../../src/work/options.js';

const DEMAND = {
  ...{ resources: {}, strategy: 'default', node: '', soft: false, selectors: {}, group: null, env: {} },
};
const group = { id: '7.1', bundles: [{ CPU: 1 }, { CPU: 2 }] };

const AMOUNTS = ['numCpus', 'numGpus'].flatMap((name) =>
  [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', null].map((value) => [name, value, 'a number ≥ 0'] as const),
);
const SHARED = [
  ...AMOUNTS,
  ['memory', -1, 'bytes, a number ≥ 0'],
  ['resources', { a: -1 }, 'an object of numbers ≥ 0'],
  ['resources', [1], 'an object of numbers ≥ 0'],
  ['acceleratorType', '', 'text that is not empty'],
  ['labelSelector', { a: 1 }, 'an object of texts'],
  ['schedulingStrategy', 'PACK', "'DEFAULT', 'SPREAD', { nodeId } or { placementGroup }"],
  ['schedulingStrategy', { nodeId: 5 }, "'DEFAULT', 'SPREAD', { nodeId } or { placementGroup }"],
  ['schedulingStrategy', { placementGroup: {} }, "'DEFAULT', 'SPREAD', { nodeId } or { placementGroup }"],
  ['runtimeEnv', { conda: 'x' }, 'an object with envVars and pip'],
  ['runtimeEnv', { envVars: { A: 1 } }, 'an object with envVars and pip'],
  ['runtimeEnv', { pip: 'numpy' }, 'an object with envVars and pip'],
] as const;

const refused = (message: string) => expect.objectContaining({ code: 'CONFIG_INVALID', message });
const shown = (value: unknown) => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value));

describe('options', () => {
  it.each(SHARED)('of both: `%s` is not %j', (name, value, expected) => {
    const message = `expected ${expected} for \`${name}\` but received ${shown(value)}`;
    const options = { [name]: value } as WorkOptions;
    expect(() => checkTaskOptions(options)).toThrow(refused(message));
    expect(() => checkActorOptions(options)).toThrow(refused(message));
  });

  it.each([
    ['maxRetries', -2, 'a whole number ≥ -1'],
    ['maxRetries', 1.5, 'a whole number ≥ -1'],
    ['retryExceptions', 1, 'true or false'],
    ['retryExceptions', ['ValueError'], 'true or false'],
  ])('of tasks: `%s` is not %j', (name, value, expected) => {
    expect(() => checkTaskOptions({ [name]: value })).toThrow(
      refused(`expected ${expected} for \`${name}\` but received ${shown(value)}`),
    );
  });

  it.each([
    ['name', '', 'text that is not empty'],
    ['namespace', 5, 'text that is not empty'],
    ['lifetime', 'forever', "'detached'"],
    ['getIfExists', 'yes', 'true or false'],
    ['maxRestarts', -2, 'a whole number ≥ -1'],
    ['maxTaskRetries', '1', 'a whole number ≥ -1'],
    ['maxConcurrency', 0, 'a whole number ≥ 1'],
    ['concurrencyGroups', { io: 0 }, 'an object of whole numbers ≥ 1'],
    ['maxPendingCalls', 0, 'a whole number ≥ 1'],
  ])('of actors: `%s` is not %j', (name, value, expected) => {
    expect(() => checkActorOptions({ [name]: value })).toThrow(
      refused(`expected ${expected} for \`${name}\` but received ${shown(value)}`),
    );
  });

  it.each([
    [checkTaskOptions, 'numCpu', 'numCpus'],
    [checkTaskOptions, 'maxRestarts', null],
    [checkActorOptions, 'maxRestart', 'maxRestarts'],
    [checkActorOptions, 'toString', null],
    [checkActorOptions, '__proto__', null],
  ])('that are none are refused: %o, %s', (check, name, meant) => {
    const options = JSON.parse(`{"${name}": 1}`) as object;
    expect(() => check(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => check(options)).toThrow(`unknown option \`${name}\`${meant === null ? '' : '; did you mean'}`);
    if (meant !== null) expect(() => check(options)).toThrow(meant);
  });

  it('may be undefined, and all of what they can be', () => {
    checkTaskOptions({ maxRetries: -1, retryExceptions: true, schedulingStrategy: { placementGroup: group } });
    checkTaskOptions({ numCpus: undefined } as object);
    checkActorOptions({
      ...{ name: 'n', namespace: 's', lifetime: 'detached', getIfExists: false, maxRestarts: -1, maxTaskRetries: 0 },
      ...{ maxConcurrency: 1, concurrencyGroups: { io: 2 }, maxPendingCalls: 1, numGpus: 0.25, memory: 0 },
      ...{ schedulingStrategy: { nodeId: 'n1', soft: true }, runtimeEnv: { envVars: { A: 'b' }, pip: ['x'] } },
    });
  });
});

describe('what a worker needs', () => {
  it('is a CPU for a task, and nothing for an actor', () => {
    expect(demandOf({}, 1)).toEqual({ ...DEMAND, resources: { CPU: 1 } });
    expect(demandOf({}, 0)).toEqual(DEMAND);
    expect(demandOf({ numCpus: 0 }, 1)).toEqual(DEMAND);
  });

  it('is what the options say', () => {
    const resources = { licence: 2, none: 0 };
    const options = { numCpus: 2, numGpus: 0.5, memory: 1024, resources, acceleratorType: 'H200' };
    expect(demandOf({ ...options, labelSelector: { zone: '!a' }, schedulingStrategy: 'SPREAD' }, 1)).toEqual({
      ...DEMAND,
      resources: { CPU: 2, GPU: 0.5, memory: 1024, licence: 2, 'accelerator_type:H200': 0.001 },
      ...{ strategy: 'spread', selectors: { zone: '!a' } },
    });
  });

  it('may be a node, or a bundle of a group', () => {
    const on = (schedulingStrategy: NonNullable<WorkOptions['schedulingStrategy']>) =>
      demandOf({ schedulingStrategy }, 0);
    expect(on('DEFAULT')).toEqual(DEMAND);
    expect(on({ nodeId: 'n1' })).toEqual({ ...DEMAND, strategy: 'node', node: 'n1' });
    expect(on({ nodeId: 'n1', soft: true })).toMatchObject({ node: 'n1', soft: true });
    expect(on({ placementGroup: group })).toMatchObject({ group: { group: '7.1', bundle: -1 } });
    expect(on({ placementGroup: group, bundleIndex: 1 })).toMatchObject({ group: { group: '7.1', bundle: 1 } });
    for (const bundleIndex of [2, -2, 0.5]) {
      expect(() => on({ placementGroup: group, bundleIndex })).toThrow(
        refused(`expected -1 or a bundle from 0 to 1 for \`bundleIndex\` but received ${bundleIndex}`),
      );
    }
  });

  it.each(['CPU', 'GPU', 'memory'])('is not %s by another name', (name) => {
    expect(() => demandOf({ resources: { [name]: 1 } }, 1)).toThrow(
      refused(`\`${name}\` is no custom resource: use numCpus, numGpus or memory`),
    );
  });

  it('is an environment', () => {
    expect(demandOf({ runtimeEnv: { envVars: { A: 'b' }, pip: [] } }, 0)).toEqual({ ...DEMAND, env: { A: 'b' } });
    expect(demandOf({ runtimeEnv: { pip: ['numpy'] } }, 0)).toMatchObject({
      runtime_env: { packages: ['numpy'], options: [], stamp: '', folder: '', modules: [] },
    });
  });
});
