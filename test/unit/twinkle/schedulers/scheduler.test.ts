import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lrAt, makeScheduler, stepScheduler } from '../../../../src/twinkle/schedulers/scheduler.js';

interface Case {
  readonly name: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly lrs: readonly number[];
}

const fixture = JSON.parse(
  readFileSync(new URL('../../../fixtures/twinkle/schedulers.json', import.meta.url), 'utf8'),
) as {
  readonly base: number;
  readonly cases: readonly Case[];
};
const { base, cases } = fixture;

describe('learning rates beside torch, which goes from step to step', () => {
  it.each(cases)('$name $kwargs', ({ kwargs, lrs, name }) => {
    const made = JSON.parse(JSON.stringify(makeScheduler(name, kwargs))) as ReturnType<typeof makeScheduler>;
    lrs.forEach((lr, steps) => {
      const own = lrAt(made, base, steps);
      // Where torch comes down to 0 by factors it keeps the rounding of the way there.
      expect(Math.abs(own - lr), `step ${steps}: ${own} beside ${lr}`).toBeLessThanOrEqual(
        1e-9 * Math.abs(lr) + 1e-14 * base,
      );
    });
  });

  it('has cases of every scheduler', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(11);
  });
});

describe('a scheduler', () => {
  it('counts its steps and leaves the state it came from alone', () => {
    const first = makeScheduler('StepLR', { step_size: 2 });
    const third = stepScheduler(stepScheduler(stepScheduler(first)));
    expect(first.steps).toBe(0);
    expect(third).toEqual({ name: 'StepLR', kwargs: { step_size: 2, gamma: 0.1 }, steps: 3 });
    expect(lrAt(third, 1, third.steps)).toBeCloseTo(0.1, 12);
  });

  it('ends where OneCycleLR ends', () => {
    let cycle = makeScheduler('OneCycleLR', { max_lr: 1, total_steps: 4, cycle_momentum: false });
    for (let step = 0; step < 4; step++) cycle = stepScheduler(cycle);
    expect(() => stepScheduler(cycle)).toThrow('OneCycleLR ends after 4 steps; make it longer to take step 5');
  });
});

describe('what is refused', () => {
  const refusals: [string, unknown, Record<string, unknown>, string][] = [
    ['a mistyped name', 'StepLr', {}, 'received "StepLr"; did you mean `StepLR`?'],
    ['a word of JavaScript’s objects', 'constructor', {}, 'expected one of ConstantLR, LinearLR'],
    ['no name', 3, {}, 'expected a name for `scheduler_cls` but received 3'],
    ['a function', 'LambdaLR', {}, 'LambdaLR does not work here: a function of the client cannot travel'],
    [
      'an unknown argument',
      'StepLR',
      { stepsize: 3 },
      'StepLR has no argument `stepsize`; did you mean `step_size`?; it takes step_size, gamma, last_epoch',
    ],
    [
      'a missing argument',
      'ExponentialLR',
      {},
      'ExponentialLR needs the argument `gamma`: a finite number of at least 0',
    ],
    [
      'a wrong argument',
      'LinearLR',
      { start_factor: 0 },
      'a finite number above 0 and at most 1 for `start_factor` of LinearLR but received 0',
    ],
    [
      'a beginning in the middle',
      'StepLR',
      { step_size: 1, last_epoch: 7 },
      'expected -1 (a scheduler starts at its beginning)',
    ],
    ['milestones that are no list', 'MultiStepLR', { milestones: 3 }, 'expected an array of whole numbers'],
    [
      'a cycled momentum, which is what absence means',
      'OneCycleLR',
      { max_lr: 1, total_steps: 9 },
      'OneCycleLR needs the argument `cycle_momentum`: false',
    ],
    [
      'a cycled momentum',
      'OneCycleLR',
      { max_lr: 1, total_steps: 9, cycle_momentum: true },
      'expected false, because the momentum is not cycled here',
    ],
    ['a cycle of no length', 'OneCycleLR', { max_lr: 1, cycle_momentum: false }, 'OneCycleLR needs `total_steps`'],
    [
      'a phase of no length',
      'OneCycleLR',
      { max_lr: 1, cycle_momentum: false, total_steps: 4, pct_start: 0.25 },
      'a phase of OneCycleLR has no steps',
    ],
  ];
  it.each(refusals)('%s', (_, name, kwargs, message) => {
    const make = () => makeScheduler(name, kwargs);
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
