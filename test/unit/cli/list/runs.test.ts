import { describe, expect, test } from 'vitest';
import { drawRun, drawRunJson, type RunViewOptions } from '../../../../src/cli/list/run-view.js';
import { belowRun, chosenRun, RUNS, runColumns, runRows, runWord } from '../../../../src/cli/list/runs.js';
import { expectKnownFields, instanceFile, lines, plain, run } from './fixtures.js';

const OTHER = 'b11c9e05-7777-4b9e-8f10-98ce615139a6:train:12';
const teller = instanceFile({ instance: 'serve1' });
const young = run({
  id: OTHER,
  state: 'starting',
  step: 0,
  steps: 0,
  datums: 0,
  tokens: 0,
  loss: null,
  lossPerToken: null,
  gradNorm: null,
  samplerGap: null,
  tokensPerSecond: null,
  stepMs: null,
  queueMs: null,
});

describe('runs', () => {
  test('a row a run; why one is lost below it', () => {
    const lost = run({ id: 'odd', state: 'lost', reason: 'rank 0 was killed' });
    const rows = runRows([{ teller, runs: [run(), young, lost] }]);
    expectKnownFields(RUNS, rows);
    expect(lines(RUNS, { rows, columns: (some) => runColumns(some, 5000), below: belowRun })).toEqual([
      'RUN          MODEL  RANK  STATE     STEP  TOKENS  LOSS   PER TOKEN  GRAD NORM  TOKENS/S  STEP TIME  QUEUE   LAST REQUEST',
      'adc4764e:0   demo   8     ready     150   43.7k   12.35  0.02165    3.5        1234      37 ms      0.5 ms  3 s ago',
      'b11c9e05:12  demo   8     starting  0     0       -      -          -          -         -          -       3 s ago',
      'odd          demo   8     lost      150   43.7k   12.35  0.02165    3.5        1234      37 ms      0.5 ms  3 s ago',
      '    rank 0 was killed',
    ]);
    expect(lines(RUNS, { rows, columns: (some) => runColumns(some, 5000) }, { state: ['lost'] })).toHaveLength(2);
  });

  test('one that trains all of its model has no rank', () => {
    const rows = runRows([{ teller, runs: [run({ rank: 0 })] }]);
    expect(lines(RUNS, { rows, columns: (some) => runColumns(some, 5000) })[1]).toContain('demo   full');
  });

  test('several servers are told apart; losses without weights have no column for them', () => {
    const runs = [run({ lossPerToken: null })];
    const rows = runRows([
      { teller, runs },
      { teller: instanceFile({ instance: 'serve2' }), runs },
    ]);
    const [head, , second] = lines(RUNS, { rows, columns: (some) => runColumns(some, 5000) });
    expect(head).toMatch(/LOSS {3}GRAD NORM .* SERVER$/);
    expect(second).toMatch(/serve2$/);
  });

  test('one is chosen by its id, the beginning of it, or the word of the table', () => {
    const rows = runRows([{ teller, runs: [run(), run({ id: `${run().id}0` }), young] }]);
    const chosen = (word: string): string => chosenRun(word, rows).id;
    expect(chosen(run().id)).toBe(run().id);
    expect(chosen('b1')).toBe(OTHER);
    for (const { id } of rows) expect(chosen(runWord(id))).toBe(id);
    expect(chosen('adc4:00')).toBe(`${run().id}0`);
    expect(() => chosen('adc')).toThrow('"adc" may be any of 2 runs: adc4764e:0, adc4764e:00');
    expect(() => chosen('b11c9e05:13')).toThrow('did you mean `b11c9e05:12`?; see');
    expect(() => chosen('b11c:2')).toThrow('there is no run "b11c:2"');
  });
});

describe('one run', () => {
  const options: RunViewOptions = { paint: plain, ascii: true, rows: 18, nowMs: 5000 };
  const curve = [0, 1, 2, 3].map((at) => ({ step: 100 + at, loss: 9 - at, lossPerToken: 3 - at }));
  const shown = { instance: 'serve1', ...run({ step: 103, steps: 4 }), curve };

  test('its figures and its curve', () => {
    expect(drawRun(shown, options).text(40).split('\n')).toEqual([
      'adc4764e-c6a2-4743-a528-be7888b62dc3:train:0  ready',
      '  model  demo, LoRA rank 8, server serve1',
      '  begun  4 s ago, last request 3 s ago',
      '  steps  103 (4 of them here), 43.7k tokens in 466 datums',
      '  loss   12.35, 0.02165 per token, gradient norm 3.5',
      '  speed  1234 tokens/s, a step 37 ms, in the queue 0.5 ms',
      '',
      'loss per token, by step',
      '3.00 +*****',
      '     |    *********',
      '1.50 +            **********',
      '     |                     *********',
      '0.00 +                             *****',
      '     +----------------------------------',
      '      100                            103',
      '',
    ]);
  });

  test('the loss of a step where some point has none by token', () => {
    const text = drawRun({ ...shown, curve: [{ step: 1, loss: 7, lossPerToken: null }, ...curve] }, options).text(40);
    expect(text).toContain('loss of a step, by step\n9.00 +');
  });

  test('without a step, or lost', () => {
    const young = { ...shown, curve: [], reason: 'rank 0 was killed', state: 'lost' as const };
    expect(drawRun({ ...young, samplerGap: 3.8e-6 }, options).text(null)).toContain(
      '  gap    0.0000038 at most between log-probabilities of sampler and trainer',
    );
    expect(drawRun(young, options).text(null)).toMatch(
      / {2}lost\n {2}rank 0 was killed\n[\s\S]*\n\nit made no step\n$/,
    );
  });

  test('is no wider than helps, and as high as the terminal lets it', () => {
    const wide = drawRun(shown, { ...options, rows: 100 })
      .text(500)
      .trimEnd()
      .split('\n');
    expect(Math.max(...wide.map(({ length }) => length))).toBe(120);
    expect(wide.filter((line) => /^[ 0-9.]+[|+]/.test(line))).toHaveLength(16);
  });

  test('as one object', () => {
    expect(JSON.parse(drawRunJson(shown).text(null))).toEqual(shown);
    expect(drawRunJson(shown).mark()).not.toBe(drawRunJson({ ...shown, step: 104 }).mark());
  });
});
