import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  covers,
  describeResources,
  fromUnits,
  isUnitResource,
  sumResources,
  toQuantities,
  toResources,
  toUnits,
} from '../../../src/scheduler/resources.js';

describe('quantities', () => {
  it.each([
    ['GPU', 0.33333, 3333],
    ['GPU', 0.00001, 0],
    ['CPU', 0.0001, 1],
    ['CPU', 0.3, 3000],
    ['CPU', 64, 640_000],
    ['memory', 1.4, 10_000],
    ['memory', 2 ** 43, 2 ** 43 * 10_000],
    ['object_store_memory', 0.4, 0],
  ])('%s %d is %d units', (name, quantity, units) => {
    expect(toUnits(name, quantity)).toBe(units);
  });

  it('come back as they were written, to four digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), (units) => toUnits('CPU', fromUnits(units)) === units),
    );
  });

  it('that round to nothing are left out', () => {
    expect(toResources({ GPU: 0.00001, CPU: 1, NPU: 0 })).toEqual(new Map([['CPU', 10_000]]));
    expect(toQuantities(toResources({ GPU: 0.5, CPU: 2 }))).toEqual({ GPU: 0.5, CPU: 2 });
  });

  it('add up without rounding: ten tenths are one', () => {
    const tenth = toResources({ GPU: 0.1 });
    expect(sumResources(Array.from({ length: 10 }, () => tenth))).toEqual(toResources({ GPU: 1 }));
  });

  it('cover what is no more than they are', () => {
    const have = toResources({ GPU: 1, CPU: 2 });
    expect(covers(have, toResources({ GPU: 1 }))).toBe(true);
    expect(covers(have, toResources({}))).toBe(true);
    expect(covers(have, toResources({ GPU: 1.0001 }))).toBe(false);
    expect(covers(have, toResources({ NPU: 0.1 }))).toBe(false);
  });

  it('are told to people', () => {
    expect(describeResources(toResources({ GPU: 2, CPU: 0.5, memory: 1024 }))).toBe('GPU 2, CPU 0.5, memory 1024');
    expect(describeResources(new Map())).toBe('nothing');
  });
});

describe('isUnitResource', () => {
  it.each([
    ['GPU', true],
    ['NPU', true],
    ['TPU', true],
    ['neuron_cores', true],
    ['CPU', false],
    ['memory', false],
    ['ssd', false],
  ])('%s: %s', (name, is) => expect(isUnitResource(name)).toBe(is));
});
