import { expect, it } from 'vitest';
import { deviceHolders } from '../../../src/runtime/device-holders.js';
import type { TrainerStatus } from '../../../src/runtime/types.js';
import { model, replica } from '../cli/list/fixtures.js';

const trainer = (devices: readonly string[], pids: readonly (number | null)[]): TrainerStatus => ({
  model: 'm',
  state: 'ready',
  reason: null,
  epoch: 1,
  restarts: 0,
  pids,
  devices,
  runs: 1,
});
const rank = (at: number, pid: number | null, device: string) => ({ rank: at, pid, devices: [device], log: '' });
const turn = { holder: 'training', since: 0, waiting: { sampling: 0, training: 0 } } as const;

it('lists replicas and training ranks by device, and the turn where both are', () => {
  const served = model({
    names: ['m'],
    turn,
    replicas: [replica({ id: 'm/0', ranks: [rank(0, 10, 'A'), rank(1, 11, 'B')] })],
  });
  expect(deviceHolders([served], [trainer(['B', 'C'], [20, 21])])).toEqual([
    { device: 'A', replicas: [{ replica: 'm/0', rank: 0, pid: 10 }], training: [] },
    {
      device: 'B',
      replicas: [{ replica: 'm/0', rank: 1, pid: 11 }],
      training: [{ model: 'm', rank: 0, pid: 20 }],
      turn: 'training',
    },
    { device: 'C', replicas: [], training: [{ model: 'm', rank: 1, pid: 21 }] },
  ]);
});

it('knows of no turn where none are taken, and neither of CPUs nor of ranks that have ended', () => {
  const served = model({
    names: ['m'],
    replicas: [replica({ id: 'm/0', ranks: [rank(0, 10, 'A'), rank(1, 11, 'cpu')] })],
  });
  expect(deviceHolders([served], [trainer(['A', 'A', 'cpu'], [20, null, 22])])).toEqual([
    { device: 'A', replicas: [{ replica: 'm/0', rank: 0, pid: 10 }], training: [{ model: 'm', rank: 0, pid: 20 }] },
  ]);
});
