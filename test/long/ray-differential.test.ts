/** Real Ray clusters of fake nodes beside our scheduler: docs/ray-differential.md. Needs TWINKLE_RAY_PYTHON, or makes an environment by pip. */
import { expect, it } from 'vitest';
import { TwinkleError } from '../../src/errors.js';
import { replay } from '../../src/scheduler/replay.js';
import { parseCase } from '../../src/scheduler/replay-case.js';
import { compileGroup } from '../../src/scheduler/validate.js';
import { judgeOurs, judgeRay, type Results, type Tally } from '../support/ray/judge.js';
import { runRayScript } from '../support/ray/python.js';
import { type RandomSequence, randomSequences } from '../support/ray/random-sequences.js';
import { REFUSALS, refusalsForRay } from '../support/ray/refusal-table.js';

const setting = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);

it('places random sequences as Ray does, wherever Ray leaves no choice', async () => {
  const seed = setting('TWINKLE_RAY_SEED', Date.now() % 100_000);
  const clusters = setting('TWINKLE_RAY_CLUSTERS', 12);
  const each = setting('TWINKLE_RAY_EACH', 20);
  console.log(`TWINKLE_RAY_SEED=${seed} TWINKLE_RAY_CLUSTERS=${clusters} TWINKLE_RAY_EACH=${each}`);
  const sequences = randomSequences(seed, clusters, each);
  const tally = await compare(sequences);
  const { steps, placed, equal, tied, stuck, cut, wrong } = tally;
  console.log(`${sequences.length} sequences, ${steps} steps, ${placed} placed`);
  console.log(
    `${equal} equal, ${tied} legal ties, ${stuck} where Ray waits for devices that are free, ${cut} cut short`,
  );
  expect(wrong).toEqual([]);
  expect(placed).toBeGreaterThan(steps / 4);
  expect(equal).toBeGreaterThan(steps / 3);
});

it('places shared devices by device, where Ray counts sums and waits', async () => {
  const small = [
    { res: { CPU: 4, GPU: 2 }, labels: {} },
    { res: { CPU: 4, GPU: 2 }, labels: {} },
  ];
  const uneven = [
    { res: { CPU: 4, GPU: 4 }, labels: {} },
    { res: { CPU: 4, GPU: 1 }, labels: {} },
  ];
  const piece = { GPU: 0.6 };
  const pack = (bundles: readonly Record<string, number>[]): RandomSequence['ops'] => [
    { op: 'create', id: 'p', strategy: 'PACK', bundles },
  ];
  const crumbs = [0, 1, 2, 3].map((at) => ({ op: 'occupy' as const, id: `o${at}`, node: 0, res: piece }));
  const cases = [
    { case: 'two and two', nodes: small, ops: pack([piece, piece, piece, piece]), fractional: true },
    { case: 'four and one', nodes: uneven, ops: pack([piece, piece, piece, piece, piece]), fractional: true },
    { case: 'crumbs', nodes: uneven, ops: [...crumbs, ...pack([{ GPU: 0.8 }])], fractional: true },
  ];
  const tally = await compare(cases);
  expect(tally.wrong).toEqual([]);
  expect(tally.stuck).toBe(2);
  const ours = cases.map((one) => replay(parseCase(one)).p);
  expect(ours.map((result) => result?.s)).toEqual(['created', 'created', 'created']);
});

it('refuses what Ray refuses, but where the table says why not', async () => {
  const answers = new Map<string, string | null>();
  await runRayScript('refusals.py', refusalsForRay(REFUSALS), (line) => {
    const { name, refused } = JSON.parse(line) as { name: string; refused: string | null };
    answers.set(name, refused);
  });
  const wrong = REFUSALS.flatMap(({ name, group, differs }) => {
    const answer = answers.get(name);
    if (answer === undefined) return [`${name}: Ray gave no answer`];
    const refused = isRefused(() => compileGroup(group));
    const same = refused === (answer !== null);
    return same === (differs === undefined)
      ? []
      : [`${name}: Ray ${answer ?? 'takes it'}, ours ${refused ? 'not' : 'too'}`];
  });
  expect(wrong).toEqual([]);
});

function isRefused(compile: () => unknown): boolean {
  try {
    compile();
    return false;
  } catch (error) {
    if (error instanceof TwinkleError && error.code === 'PLACEMENT_INVALID') return true;
    throw error;
  }
}

/** Run them on Ray and through our replay, and judge both. */
async function compare(sequences: readonly RandomSequence[]): Promise<Tally> {
  const tally: Tally = { steps: 0, placed: 0, equal: 0, tied: 0, stuck: 0, cut: 0, wrong: [] };
  const left = new Map(sequences.map((sequence) => [sequence.case, sequence]));
  const input = sequences.map((sequence) => `${JSON.stringify(sequence)}\n`).join('');
  await runRayScript('sequences.py', input, (line) => {
    const answer = JSON.parse(line) as { case: string; result: Results; late_order: string[]; done: number };
    const sequence = left.get(answer.case);
    if (sequence === undefined) throw new Error(`Ray answered ${answer.case}, which was not asked`);
    left.delete(answer.case);
    const done = { ...sequence, ops: sequence.ops.slice(0, answer.done) };
    if (answer.done < sequence.ops.length) tally.cut += 1;
    judgeRay(done, answer.result, answer.late_order, tally);
    judgeOurs(sequence, replay(parseCase(sequence)), tally.wrong);
  });
  tally.wrong.push(...[...left.keys()].map((name) => `${name}: Ray gave no answer`));
  return tally;
}
