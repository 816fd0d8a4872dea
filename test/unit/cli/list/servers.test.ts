import { describe, expect, test } from 'vitest';
import { drawServers, drawServersJson } from '../../../../src/cli/list/servers.js';
import type { Paint } from '../../../../src/cli/render/style.js';
import type { ClusterHeadStatus, DeviceHolding } from '../../../../src/runtime/types.js';
import type { ServedModel } from '../../../../src/serving/types.js';
import { instanceFile, model, replica, server } from './fixtures.js';

const plain: Paint = (_, text) => text;
const HEAD: ClusterHeadStatus = {
  kind: 'head',
  instance: 'head1',
  pid: 9,
  version: '0.1.0',
  startedAt: 0,
  home: '/h',
  address: '10.0.0.1:6379',
  phase: 'ready',
  cluster: 'c1',
  epoch: 2,
  nodes: 3,
  groups: { created: 4, pending: 1 },
};
const file = instanceFile({ instance: 'head1', kind: 'head', pid: 9 });

describe('status', () => {
  test('a head is a line of its own kind', () => {
    expect(drawServers([{ file, answer: HEAD }], '/h', 61_000, plain).text(80)).toBe(
      'head1  head  ready  10.0.0.1:6379  pid 9  since 61 s  version 0.1.0  nodes 3  groups 4 created, 1 pending\n',
    );
  });

  test('a head that runs actors and tasks says how many, and what its store holds', () => {
    const memory = { usedBytes: 2 ** 30, slabBytes: 2 ** 31, capacityBytes: 7.5 * 2 ** 30, inlineBytes: 9 };
    const store = { objects: 14, ...memory, spilledObjects: 2, spillWrittenBytes: 3, spillReadBytes: 4 };
    const text = (spilledBytes: number, leases: number, awayBytes = 0): string | undefined => {
      const work = { drivers: 1, workers: 9, actors: 3, leases, store: { ...store, spilledBytes, awayBytes } };
      return drawServers([{ file, answer: { ...HEAD, work } }], '/h', 0, plain)
        .text(80)
        .split('\n')[1];
    };
    expect(text(0, 1)).toBe('  actors 3, tasks 1 worker, objects 14: 1.0 GiB of 7.5 GiB');
    expect(text(0, 1, 2 ** 21)).toMatch(/1\.0 GiB of 7\.5 GiB, 2\.0 MiB on other nodes$/);
    expect(text(2 ** 20, 2)).toBe(
      '  actors 3, tasks 2 workers, objects 14: 1.0 GiB of 7.5 GiB, 1.0 MiB in 2 spilled to disk',
    );
  });

  test('a model that scales says how many there are and should be, also when there is none', () => {
    const ready = replica({ id: 'm/0', state: 'ready' });
    const scale = { wanted: 2, min: 0, max: 4 };
    const text = (change: Partial<ServedModel>): string =>
      drawServers(
        [{ file: instanceFile({}), answer: server({ models: [model({ scale, ...change })] }) }],
        '/h',
        0,
        plain,
      ).text(200);
    const starting = { phase: 'placement', progress: 0, detail: 'group m/1 waits', elapsedMs: 1 };
    expect(text({ replicas: [ready], progress: starting })).toContain(
      '1 of 2 replicas ready, from 0 to 4; placement group m/1 waits',
    );
    expect(text({ replicas: [], scale: { ...scale, wanted: 0 } })).toContain('0 of 0 replicas ready, from 0 to 4');
  });

  test('devices are listed by who holds them, once somebody trains', () => {
    const turn = { holder: 'training', since: 0, waiting: { sampling: 2, training: 0 } } as const;
    const served = model({ names: ['m'], turn, replicas: [replica({ id: 'm/0' })] });
    const held = { device: 'GPU-a', replicas: [{ replica: 'm/0', rank: 0, pid: 1 }], training: [] };
    const text = (devices: readonly DeviceHolding[]): string =>
      drawServers([{ file: instanceFile({}), answer: server({ models: [served], devices }) }], '/h', 0, plain).text(
        200,
      );
    expect(text([held])).not.toContain('TURN');
    const shared = { ...held, training: [{ model: 'm', rank: 0, pid: 2 }], turn: 'training' } as const;
    const lines = text([shared, { ...held, device: 'GPU-b' }])
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/));
    expect(lines).toContainEqual(['DEVICE', 'SAMPLES', 'TRAINS', 'TURN']);
    expect(lines).toContainEqual(['GPU-a', 'm/0 rank 0', 'm rank 0', 'training']);
    expect(lines).toContainEqual(['GPU-b', 'm/0 rank 0', '-', '-']);
    expect(text([shared])).toContain('sleeps while it is trained');
  });

  test('the ranks that train a model stand beside its replicas', () => {
    const ranks = {
      model: 'm',
      state: 'ready' as const,
      reason: null,
      epoch: 1,
      restarts: 0,
      pids: [200],
      devices: ['GPU-a'],
      runs: 1,
    };
    const broken = {
      ...ranks,
      model: 'other',
      state: 'failed' as const,
      reason: 'rank 0 was killed',
      pids: [null],
      runs: 0,
    };
    const models = [model(), model({ names: ['other'], replicas: [replica({ id: 'other/0' })] })];
    const answer = server({ models, training: [broken, { ...ranks, restarts: 2 }] });
    const text = drawServers([{ file: instanceFile({}), answer }], '/h', 0, plain).text(200);
    expect(text.split('\n').slice(1)).toEqual([
      '  MODEL     REPLICA   STATE   RANK  PID  DEVICES  IN FLIGHT  RESTARTS  NOTE',
      '  m, alias  m/0       ready   0     100  GPU-a    3          0',
      '  m, alias  m/0       ready   1     -    GPU-b    3          0',
      '  m, alias  training  ready   0     200  GPU-a    -          2         1 run',
      '  other     other/0   ready   0     100  GPU-a    3          0',
      '  other     other/0   ready   1     -    GPU-b    3          0',
      '  other     training  failed  0     -    GPU-a    -          0         no run; rank 0 was killed',
      '',
    ]);
  });

  test('one who does not answer hides nobody', () => {
    const all = [
      { file: instanceFile({ instance: 'mute' }), answer: { silent: 'no answer within 3 s' } },
      { file, answer: HEAD },
    ];
    const text = drawServers(all, '/h', 1000, plain).text(null);
    expect(text).toMatch(/^mute {2}pid 7 {2}since 1 s {2}does not answer: no answer within 3 s\nhead1 {2}head/);
    const json = drawServersJson(all)
      .text(null)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(json).toEqual([
      { kind: 'serve', instance: 'mute', pid: 7, startedAt: 0, url: null, phase: null, silent: 'no answer within 3 s' },
      HEAD,
    ]);
  });

  test('counters and clocks are no news; requests and states are', () => {
    const of = (inFlight: number, steps: number, elapsedMs: number) => {
      const stats = { running: 0, waiting: 0, kv_usage: 0, steps, prompt_tokens: 0, generation_tokens: 0 };
      const progress = { phase: 'load', progress: 0.5, detail: '', elapsedMs };
      const answer = server({ models: [model({ progress, replicas: [replica({ inFlight, stats })] })] });
      return [{ file: instanceFile(), answer }];
    };
    const json = (...args: Parameters<typeof of>) => drawServersJson(of(...args)).mark();
    expect(json(1, 10, 5)).toBe(json(1, 99, 6));
    expect(json(1, 10, 5)).not.toBe(json(2, 10, 5));
    const table = (nowMs: number, inFlight: number) => drawServers(of(inFlight, 1, nowMs), '/h', nowMs, plain).mark();
    expect(table(1000, 1)).toBe(table(90_000, 1));
    expect(table(1000, 1)).not.toBe(table(1000, 2));
  });
});
