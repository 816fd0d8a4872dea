import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Autoscaling } from '../../../src/config/types.js';
import { decideScale, desiredReplicas, newScale, type ScaleMemory } from '../../../src/serving/autoscale.js';
import { LoadWindow } from '../../../src/serving/load-window.js';

const POLICY: Autoscaling = {
  min: 1,
  max: 10,
  initial: 1,
  targetOngoing: 2,
  upscaleDelayMs: 30_000,
  downscaleDelayMs: 600_000,
  downscaleToZeroDelayMs: 600_000,
  upscalingFactor: 1,
  downscalingFactor: 1,
  lookBackMs: 30_000,
  aggregation: 'mean',
};

/** A model whose replicas are there as soon as they are wanted. */
class Played {
  memory: ScaleMemory;
  nowMs = 0;

  constructor(readonly policy: Autoscaling) {
    this.memory = newScale(policy);
  }

  look(load: number, afterMs = 0): number {
    this.nowMs += afterMs;
    const view = { nowMs: this.nowMs, load, waiting: load > 0, ready: this.memory.wanted };
    this.memory = decideScale(this.policy, this.memory, view);
    return this.memory.wanted;
  }
}

describe('how many', () => {
  it('is load over target, rounded up, within bounds', () => {
    const cases = [0, 1, 2, 3, 7, 20, 99].map((load) => desiredReplicas(POLICY, 1, load));
    expect(cases).toEqual([1, 1, 1, 2, 4, 10, 10]);
  });

  it('goes a part of the way with factors, and down at least by one', () => {
    const damped = { ...POLICY, upscalingFactor: 0.5, downscalingFactor: 0.1 };
    expect(desiredReplicas(damped, 2, 16)).toBe(5);
    expect(desiredReplicas(damped, 4, 2)).toBe(3);
  });
});

describe('when', () => {
  it('more must be wanted for the whole delay', () => {
    const model = new Played(POLICY);
    expect(model.look(8)).toBe(1);
    expect(model.look(8, 29_999)).toBe(1);
    expect(model.look(2, 0)).toBe(1); // enough for a moment: it starts over
    expect(model.look(8, 1)).toBe(1);
    expect(model.look(6, 29_999)).toBe(1);
    expect(model.look(6, 1)).toBe(3); // as much as is wanted now
  });

  it('less, too, and the last one by its own delay', () => {
    const model = new Played({ ...POLICY, min: 0, initial: 4, downscaleDelayMs: 100, downscaleToZeroDelayMs: 500 });
    expect(model.look(0)).toBe(4);
    expect(model.look(0, 99)).toBe(4);
    expect(model.look(0, 1)).toBe(1);
    expect(model.look(0, 10)).toBe(1);
    expect(model.look(0, 499)).toBe(1);
    expect(model.look(0, 1)).toBe(0);
  });

  it('from zero at once, as many as wait', () => {
    const model = new Played({ ...POLICY, min: 0, initial: 0 });
    expect(model.look(0, 1e6)).toBe(0);
    expect(model.look(7)).toBe(4);
  });

  it('stays within bounds, keeps still under a load that fits, and never moves sooner than its delays', () => {
    const policy = fc
      .record({
        min: fc.nat(3),
        more: fc.nat(6),
        targetOngoing: fc.double({ min: 0.5, max: 8, noNaN: true }),
        upscaleDelayMs: fc.nat(1000),
        downscaleDelayMs: fc.nat(1000),
        downscaleToZeroDelayMs: fc.nat(1000),
        upscalingFactor: fc.double({ min: 0.1, max: 2, noNaN: true }),
        downscalingFactor: fc.double({ min: 0.1, max: 2, noNaN: true }),
      })
      .map(
        ({ min, more, ...rest }): Autoscaling => ({
          ...POLICY,
          ...rest,
          min,
          initial: min,
          max: Math.max(1, min + more),
        }),
      );
    const looks = fc.array(fc.tuple(fc.nat(60), fc.nat(400)), { maxLength: 60 });
    fc.assert(
      fc.property(policy, looks, (of, steps) => {
        const model = new Played(of);
        let changedMs = 0;
        for (const [load, afterMs] of steps) {
          const before = model.memory.wanted;
          const wanted = model.look(load, afterMs);
          expect(wanted).toBeGreaterThanOrEqual(Math.min(of.min, before));
          expect(wanted).toBeLessThanOrEqual(of.max);
          if (load > 0) expect(wanted).toBeGreaterThan(0);
          if (wanted === before) continue;
          const delay =
            wanted > before
              ? before === 0
                ? 0
                : of.upscaleDelayMs
              : before === 1
                ? of.downscaleToZeroDelayMs
                : of.downscaleDelayMs;
          expect(model.nowMs - changedMs).toBeGreaterThanOrEqual(delay);
          changedMs = model.nowMs;
        }
      }),
    );
  });

  it('settles: under a constant load it ends where it stays', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.integer({ min: 1, max: 10 }),
        fc.double({ min: 0.2, max: 1, noNaN: true }),
        (load, initial, factor) => {
          const model = new Played({ ...POLICY, initial, upscalingFactor: factor, downscalingFactor: factor });
          for (let step = 0; step < 60; step++) model.look(load, 600_000);
          expect(model.memory.wanted).toBe(Math.min(10, Math.max(1, Math.ceil(load / 2))));
        },
      ),
    );
  });
});

describe('the load of a while', () => {
  it('is weighted by time, and what is older does not count', () => {
    const window = new LoadWindow(100, 'mean');
    expect(window.value(0)).toBe(0);
    window.set(0, 10);
    expect(window.value(0)).toBe(10);
    window.set(50, 0);
    expect(window.value(100)).toBe(5);
    expect(window.value(125)).toBe(2.5);
    expect(window.value(1000)).toBe(0);
  });

  it('lies between the least and the most of it', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(30), fc.nat(50)), { minLength: 1 }), (steps) => {
        const windows = (['min', 'mean', 'max'] as const).map((kind) => new LoadWindow(100, kind));
        let nowMs = 0;
        const loads: number[] = [];
        for (const [afterMs, load] of steps) {
          nowMs += afterMs;
          loads.push(load);
          for (const window of windows) window.set(nowMs, load);
          const [min = 0, mean = 0, max = 0] = windows.map((window) => window.value(nowMs));
          expect(min).toBeGreaterThanOrEqual(Math.min(...loads));
          expect(mean).toBeGreaterThanOrEqual(min - 1e-9);
          expect(mean).toBeLessThanOrEqual(max + 1e-9);
          expect(max).toBeLessThanOrEqual(Math.max(...loads));
        }
      }),
    );
  });
});
