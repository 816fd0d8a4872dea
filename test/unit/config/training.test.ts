import { expect, test } from 'vitest';
import { withoutDevices } from '../../../src/config/devices.js';
import type { DeviceReport } from '../../../src/native/types.js';
import { compile, gpus } from './support.js';

const REPORT: DeviceReport = {
  ...gpus(4),
  links: [
    { a: 0, b: 1, kind: 'nvlink', lanes: 4 },
    { a: 2, b: 3, kind: 'nvlink', lanes: 2 },
  ],
};

/** As they are unless they are set. */
const LIMITS = {
  sleepWhileTraining: false,
  shard: false,
  full: false,
  maxRuns: 64,
  idleMs: 600_000,
  maxLifeMs: null,
  maxCheckpointBytes: null,
  checkpointStore: null,
};

test('limits are read in their units', async () => {
  const flags = {
    'max-training-runs': '2',
    'training-idle-timeout': '1.5',
    'max-run-life': '3600',
    'max-checkpoint-bytes': '2GiB',
  };
  const { config } = await compile({ flags });
  const said = {
    sleepWhileTraining: false,
    shard: false,
    full: false,
    maxRuns: 2,
    idleMs: 1500,
    maxLifeMs: 3_600_000,
    maxCheckpointBytes: 2 * 1024 ** 3,
    checkpointStore: null,
  };
  expect(config.training).toEqual({ devices: null, ranks: null, ...said });
  await expect(compile({ flags: { 'max-training-runs': '0' } })).rejects.toThrow('--max-training-runs');
});

test('devices that train are named in their order, and offered to no model', async () => {
  const { config } = await compile({ flags: { gpus: '0-3', 'train-gpus': '1,0' }, report: REPORT });
  expect(config.training).toEqual({
    devices: [1, 0].map((index) => ({ kind: 'gpu', index, uuid: `GPU-${String(index).repeat(4)}-aaaa` })),
    ranks: null,
    ...LIMITS,
  });
  expect(config.node.devices.map(({ index }) => index)).toEqual([2, 3]);
  expect(config.node.links).toEqual([{ a: 0, b: 1, kind: 'nvlink', lanes: 2 }]);
  expect(config.node.leftOut).toEqual(['gpu 1 trains', 'gpu 0 trains']);
});

test('devices that are not there are refused, and more ranks than devices', async () => {
  await expect(compile({ flags: { cpu: true, 'train-gpus': '7' }, report: REPORT })).rejects.toMatchObject({
    code: 'DEVICE_MISSING',
    message: expect.stringContaining('leave it out'),
  });
  const many = compile({ flags: { cpu: true, 'train-gpus': '0-1', 'train-ranks': 3 }, report: REPORT });
  await expect(many).rejects.toThrow('at most 2 for `--train-ranks`');
});

test('without names nothing is taken away', async () => {
  const { config, deviceCalls } = await compile({ flags: { 'train-ranks': 2 } });
  expect([config.training, deviceCalls]).toEqual([{ devices: null, ranks: 2, ...LIMITS }, 0]);
  const offer = { devices: [], links: [], leftOut: [], warnings: [] };
  expect(withoutDevices(offer, [])).toBe(offer);
});

test('checkpoints are kept in a bucket that is one', async () => {
  const store = async (url: string) => await compile({ flags: { 'checkpoint-store': url } });
  const { config } = await store('s3://team-a/runs/tinker');
  expect(config.training.checkpointStore).toEqual({ bucket: 'team-a', prefix: 'runs/tinker' });
  for (const url of ['team-a', '/tmp/x', 'gs://b/p', 's3://', 's3://b/../p'])
    await expect(store(url)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('expected s3://bucket/prefix for `--checkpoint-store`'),
    });
});

test('all of a model is trained where that is allowed, and not of one that is spread over ranks', async () => {
  const { config } = await compile({ flags: { 'train-full': true } });
  expect(config.training).toEqual({ devices: null, ranks: null, ...LIMITS, full: true });
  await expect(compile({ flags: { 'train-full': true, 'train-shard': true } })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/one of `--train-full` and `--train-shard`.*leave one out/),
  });
});
