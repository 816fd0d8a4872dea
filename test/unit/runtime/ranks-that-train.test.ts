import { expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { DeviceTurns } from '../../../src/runtime/device-turns.js';
import { releaseMemory, trainerOver } from '../../../src/runtime/ranks-that-train.js';
import type { Gang } from '../../../src/supervisor/gang.js';

type Answer = (method: string, params: Record<string, unknown>) => unknown;

/** A gang of ranks that answer so; what each was told. */
function gangOf(...answers: Answer[]) {
  return gangInTurns(null, ...answers);
}

function gangInTurns(turns: DeviceTurns | null, ...answers: Answer[]) {
  const told: [rank: number, method: string, params: Record<string, unknown>][] = [];
  const channels = answers.map((answer, rank) => ({
    call: async (method: string, params: Record<string, unknown>) => {
      told.push([rank, method, params]);
      return answer(method, params);
    },
  }));
  const gang = {
    epoch: 1,
    get lead() {
      return channels[0] ?? null;
    },
    spec: { id: 'm/train', worldSize: answers.length },
    session: (rank: number) => ({ channel: channels[rank] }),
  };
  return { gang, told, trainer: trainerOver(gang as unknown as Gang, turns) };
}
const fail = (code: 'RANK_FAILED' | 'INVALID_REQUEST', message: string) => () => {
  throw new TwinkleError(code, message);
};
const done = () => null;
const CREATE = {
  run: 'r',
  rank: 8,
  seed: null,
  train_attn: true,
  train_mlp: true,
  train_unembed: true,
  alpha: 32,
  dropout: 0,
  targets: null,
  rslora: false,
  init: 'default',
};
const NORM = { run: 'r', gradient_scale: 1, norm_type: 2 };

it('tells all ranks the same, and lets them draw the same weights', async () => {
  const { told, trainer } = gangOf(done, done);
  await trainer.call('train_create', CREATE);
  expect(told.map(([rank, method]) => [rank, method])).toEqual([
    [0, 'train_create'],
    [1, 'train_create'],
  ]);
  expect(told[0]?.[2].seed).toEqual(expect.any(Number));
  expect(told[1]?.[2]).toEqual(told[0]?.[2]);
});

it('has all ranks add a gradient up or forget it, and answers with the norm that all found', async () => {
  const { told, trainer } = gangOf(
    (method) => (method === 'train_norm' ? { norm: 3 } : null),
    (method) => (method === 'train_norm' ? { norm: 3 } : null),
  );
  expect(await trainer.call('train_norm', NORM)).toEqual({ norm: 3 });
  expect(await trainer.call('train_zero', { run: 'r' })).toBe(null);
  expect(told).toEqual([
    [0, 'train_norm', NORM],
    [1, 'train_norm', NORM],
    [0, 'train_zero', { run: 'r' }],
    [1, 'train_zero', { run: 'r' }],
  ]);
});

it('has one rank save', async () => {
  const { told, trainer } = gangOf(() => ({ bytes: 1 }), done);
  await trainer.call('train_save', { run: 'r', folder: '/f', optimizer: true, handed_over: false });
  expect(told.map(([rank]) => rank)).toEqual([0]);
});

it('says what all refuse, and loses a run over which ranks differ', async () => {
  const load = { run: 'r', folder: '/f', optimizer: true };
  const refused = fail('INVALID_REQUEST', 'made for another model');
  await expect(gangOf(refused, refused).trainer.call('train_load', load)).rejects.toThrow('another model');
  const half = gangOf(done, refused).trainer.call('train_load', load);
  await expect(half).rejects.toMatchObject({ code: 'RANK_FAILED', message: expect.stringContaining('disagree') });
  const dead = gangOf(done, fail('RANK_FAILED', 'rank 1 was ended by SIGKILL')).trainer.call('train_load', load);
  await expect(dead).rejects.toThrow('SIGKILL');
});

it('is gone with its start', async () => {
  const { gang, told, trainer } = gangOf(done, done);
  gang.epoch = 2;
  expect(trainer.gone).toBe(true);
  await expect(trainer.call('train_drop', { run: 'r' })).rejects.toThrow('started again');
  expect(told).toEqual([]);
});

it('computes in its turn, does the rest beside it, and wants no turn for what is gone', async () => {
  const asked: string[] = [];
  const ask = (side: string) => (job: () => Promise<unknown>) => {
    asked.push(side);
    return job();
  };
  const turns = { train: ask('train'), beside: ask('beside') } as unknown as DeviceTurns;
  const { gang, told, trainer } = gangInTurns(turns, () => ({ outcomes: [] }));
  await trainer.call('train_pass', { works: [] });
  await trainer.call('train_save', { run: 'r', folder: '/f', optimizer: true, handed_over: false });
  await trainer.call('train_norm', NORM);
  await trainer.call('train_zero', { run: 'r' });
  expect(asked).toEqual(['train', 'beside', 'train', 'beside']);
  gang.epoch = 2;
  await expect(trainer.call('train_pass', { works: [] })).rejects.toThrow('started again');
  expect([asked.length, told.length]).toEqual([4, 4]);
});

it('all ranks give memory back, and one that cannot keeps nobody', async () => {
  const { gang, told } = gangOf(fail('RANK_FAILED', 'rank 0 was ended'), done);
  await releaseMemory(gang as unknown as Gang);
  expect(told.map(([rank, method]) => [rank, method])).toEqual([
    [0, 'train_release'],
    [1, 'train_release'],
  ]);
});
