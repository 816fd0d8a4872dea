import { describe, expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { fromUnits } from '../../../src/scheduler/resources.js';
import type { Resources } from '../../../src/scheduler/types.js';
import { compileTask, type WrittenTask } from '../../../src/scheduler/validate-task.js';

type Options = Omit<WrittenTask, 'kind'>;

const REFUSED: readonly (readonly [what: string, options: Options, words: RegExp])[] = [
  ['a precision that cannot be counted', { numGpus: 0.00001 }, /at least 0.0001.*0.00001/],
  ['that of CPUs too', { numCpus: 0.00009 }, /`numCpus`/],
  ['that of custom resources too', { resources: { ssd: 0.00001 } }, /`resources.ssd`/],
  ['one and a half GPUs', { numGpus: 1.5 }, /whole number, or one below 1,.*`numGpus` but received 1.5/],
  ['one and a half NPUs', { resources: { NPU: 1.5 } }, /`resources.NPU`/],
  ['half an HPU', { resources: { HPU: 0.5 } }, /whole number/],
  ['three TPU chips', { resources: { TPU: 3 } }, /1, 2, 4 or 8/],
  ['negative CPUs', { numCpus: -1 }, /0 or more/],
  ['NaN', { numCpus: Number.NaN }, /finite/],
  ['text', { numGpus: '1' }, /a number/],
  ['memory below zero', { memory: -5 }, /0 or more/],
  ['CPU among the resources', { resources: { CPU: 1 } }, /write `numCpus`/],
  ['GPU among the resources', { resources: { GPU: 1 } }, /write `numGpus`/],
  ['memory among the resources', { resources: { memory: 1 } }, /write `memory`/],
  ['the resource of the groups', { resources: { bundle: 1 } }, /"bundle"/],
  ['resources that are a list', { resources: [1] }, /an object/],
  ['an unknown strategy', { schedulingStrategy: 'SPRED' }, /did you mean `SPREAD`/],
  ['a strategy that is a number', { schedulingStrategy: 4 }, /DEFAULT, SPREAD/],
  ['an affinity to nothing', { schedulingStrategy: { soft: true } }, /id of a node.*nodeId/],
  ['an affinity to the nil id', { schedulingStrategy: { nodeId: 'F'.repeat(56), soft: true } }, /id of a node/],
  ['an affinity that says not how', { schedulingStrategy: { nodeId: 'a' } }, /`schedulingStrategy.soft`/],
  ['an affinity with a slip', { schedulingStrategy: { nodeId: 'a', sofd: true } }, /did you mean `soft`/],
  ['a soft that is text', { schedulingStrategy: { nodeId: 'a', soft: 'no' } }, /true or false/],
  [
    'a hard affinity that spills',
    { schedulingStrategy: { nodeId: 'a', soft: false, spillOnUnavailable: true } },
    /spillOnUnavailable needs soft: true/,
  ],
  [
    'a soft affinity that fails',
    { schedulingStrategy: { nodeId: 'a', soft: true, failOnUnavailable: true } },
    /failOnUnavailable needs soft: false/,
  ],
  ['a selector that is a list', { labelSelector: ['zone'] }, /`labelSelector`/],
  ['a fallback that is no list', { fallbackStrategy: {} }, /a list for `fallbackStrategy`/],
  ['an empty fallback', { fallbackStrategy: [{}] }, /`fallbackStrategy\[0\]`.*an empty object/],
  ['a fallback of something else', { fallbackStrategy: [{ numGpus: 1 }] }, /only have labelSelector but has numGpus/],
  ['a fallback with a bad selector', { fallbackStrategy: [{ labelSelector: { zone: '' } }] }, /no selector/],
  ['a preferred node that is a number', { preferred: 3 }, /text for `preferred`/],
];

const plain = (resources: Resources): Record<string, number> =>
  Object.fromEntries([...resources].map(([name, units]) => [name, fromUnits(units)]));
const actor = (options: Options) => {
  const { request, held } = compileTask({ kind: 'actor', ...options });
  return { needed: plain(request.resources), held: plain(held) };
};

describe('compileTask', () => {
  test.each(REFUSED)('refuses %s', (_what, options, words) => {
    for (const kind of ['task', 'actor'] as const) {
      expect(() => compileTask({ kind, ...options })).toThrow(TwinkleError);
      expect(() => compileTask({ kind, ...options })).toThrow(words);
    }
  });

  test('refuses object store memory of tasks only', () => {
    expect(() => compileTask({ kind: 'task', objectStoreMemory: 5 })).toThrow(/objectStoreMemory/);
    expect(actor({ objectStoreMemory: 5 }).held).toEqual({ object_store_memory: 5 });
  });

  test('gives a task one CPU unless it says otherwise', () => {
    const task = (options: Options) => {
      const { request, held } = compileTask({ kind: 'task', ...options });
      expect(request.resources).toEqual(held);
      return plain(held);
    };
    expect(task({})).toEqual({ CPU: 1 });
    expect(task({ numCpus: 0 })).toEqual({});
    expect(task({ numGpus: 1 })).toEqual({ CPU: 1, GPU: 1 });
    expect(task({ numCpus: 0.5, resources: { ssd: 2 } })).toEqual({ CPU: 0.5, ssd: 2 });
    expect(task({ acceleratorType: 'H100' })).toEqual({ CPU: 1, 'accelerator_type:H100': 0.001 });
    expect(task({ numGpus: 0.33333 })).toEqual({ CPU: 1, GPU: 0.3333 });
  });

  test('places an actor that asks for nothing by one CPU, which it does not keep', () => {
    expect(actor({})).toEqual({ needed: { CPU: 1 }, held: {} });
    expect(actor({ memory: 100 })).toEqual({ needed: { memory: 100, CPU: 1 }, held: { memory: 100 } });
    expect(actor({ numGpus: 1 })).toEqual({ needed: { CPU: 1, GPU: 1 }, held: { CPU: 1, GPU: 1 } });
    expect(actor({ numGpus: 0 })).toEqual({ needed: { CPU: 1 }, held: { CPU: 1 } });
    expect(actor({ numCpus: 0 })).toEqual({ needed: {}, held: {} });
    expect(actor({ numCpus: 0, numGpus: 2 })).toEqual({ needed: { GPU: 2 }, held: { GPU: 2 } });
    expect(actor({ resources: { NPU: 0.5 } })).toEqual({ needed: { NPU: 0.5, CPU: 1 }, held: { NPU: 0.5, CPU: 1 } });
  });

  test('compiles how it wants its node', () => {
    const strategy = (schedulingStrategy: unknown) =>
      compileTask({ kind: 'task', schedulingStrategy }).request.strategy;
    expect(strategy(null)).toEqual({ kind: 'default' });
    expect(strategy('DEFAULT')).toEqual({ kind: 'default' });
    expect(strategy('SPREAD')).toEqual({ kind: 'spread' });
    expect(strategy({ nodeId: 'a', soft: true, spillOnUnavailable: true })).toEqual({
      kind: 'node-affinity',
      node: 'a',
      soft: true,
      spillOnUnavailable: true,
      failOnUnavailable: false,
    });
    const { request } = compileTask({
      kind: 'task',
      labelSelector: { zone: 'a' },
      fallbackStrategy: [{ labelSelector: { zone: 'b' } }, { labelSelector: {} }],
      preferred: 'me',
    });
    expect(request.preferred).toBe('me');
    expect(request.selectors).toEqual([
      [{ key: 'zone', not: false, values: ['a'] }],
      [{ key: 'zone', not: false, values: ['b'] }],
      [],
    ]);
  });
});
