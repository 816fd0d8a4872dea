import { describe, expect, it } from 'vitest';
import { masked } from '../../../src/actors/masks.js';
import type { SeatDevice } from '../../../src/cluster/api.js';

const device = (resource: string, instance: number): SeatDevice => ({
  ...{ resource, instance, uuid: `${instance}`, quantity: 1 },
});
const rules = { indexOf: ({ instance }: SeatDevice) => String(instance + 10), mayMask: () => true };

describe('masks', () => {
  it('name the devices as Ray counts them, and mask the vendor’s as its runtime does', () => {
    expect(masked([device('GPU', 0), device('GPU', 2), device('NPU', 1)], rules)).toEqual({
      devices: { GPU: ['0', '2'], NPU: ['1'] },
      env: { CUDA_VISIBLE_DEVICES: '10,12', ASCEND_RT_VISIBLE_DEVICES: '11' },
    });
  });

  it('leave variables alone without devices, where the user keeps them, and of what has none', () => {
    expect(masked([], rules)).toEqual({ devices: {}, env: {} });
    expect(masked([device('GPU', 0)], { ...rules, mayMask: () => false }).env).toEqual({});
    expect(masked([device('TPU', 0)], rules)).toEqual({ devices: { TPU: ['0'] }, env: {} });
  });
});
