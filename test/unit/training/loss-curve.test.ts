import { expect, it } from 'vitest';
import { LossCurve } from '../../../src/training/loss-curve.js';

/** Loss of a step = its number; its targets weigh 2. */
function grown(steps: number): LossCurve {
  const curve = new LossCurve();
  for (let step = 1; step <= steps; step++) curve.push(step, step, 2);
  return curve;
}

it('keeps each step while there is room', () => {
  const points = grown(512).points();
  expect(points).toHaveLength(512);
  expect(points[6]).toEqual({ step: 7, loss: 7, lossPerToken: 3.5 });
});

it('puts neighbours together when there is none', () => {
  const points = grown(513).points();
  expect(points).toHaveLength(257);
  expect(points[0]).toEqual({ step: 2, loss: 1.5, lossPerToken: 0.75 });
  expect(points.at(-1)).toEqual({ step: 513, loss: 513, lossPerToken: 256.5 });
});

it('stays whole, even and bounded at any length: each step counts once', () => {
  for (const steps of [1000, 1025, 5000, 100_000]) {
    const points = grown(steps).points();
    expect(points.length).toBeLessThanOrEqual(512);
    expect(points.length).toBeGreaterThan(256);
    expect(points.at(-1)?.step).toBe(steps);
    const first = points[0]?.step ?? 0;
    expect(points.slice(0, -1).map(({ step }) => step)).toEqual(points.slice(0, -1).map((_, at) => (at + 1) * first));
    let before = 0;
    for (const { loss, step } of points) {
      // The mean of whole numbers from `before` + 1 to `step`.
      expect(loss).toBe((before + 1 + step) / 2);
      before = step;
    }
  }
});

it('knows no loss per token where a part of it has none', () => {
  const curve = new LossCurve();
  for (let step = 1; step <= 513; step++) curve.push(step, 1, step === 1 ? null : 1);
  const points = curve.points();
  expect([points[0]?.lossPerToken, points[1]?.lossPerToken]).toEqual([null, 1]);
});

it('goes on as if it had never been put away', () => {
  for (const steps of [10, 512, 513, 1300]) {
    const curve = grown(steps);
    const again = new LossCurve(JSON.parse(JSON.stringify(curve.kept())));
    for (const one of [curve, again]) for (let step = steps + 1; step <= steps + 900; step++) one.push(step, step, 2);
    expect(again.points()).toEqual(curve.points());
  }
});
