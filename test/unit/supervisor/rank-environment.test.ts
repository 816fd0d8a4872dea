import { describe, expect, it } from 'vitest';
import {
  engineEnvironment,
  peersOf,
  type RankIdentity,
  rankEnvironment,
} from '../../../src/supervisor/rank-environment.js';

const IDENTITY: RankIdentity = {
  instance: 'i',
  gang: 'm/0',
  epoch: 2,
  rank: 1,
  localRank: 1,
  worldSize: 2,
  masterAddr: '127.0.0.1',
  masterPort: 4000,
  device: null,
  peers: null,
};

describe('environment of ranks', () => {
  it('never carries the keys of this server', () => {
    const env = engineEnvironment(
      { TWINKLE_API_KEY: 'tml-secret', VLLM_API_KEY: 'x', HF_TOKEN: 'kept', EMPTY: undefined },
      '/p',
      'info',
    );
    expect(Object.values(env)).not.toContain('tml-secret');
    expect(env).toMatchObject({ HF_TOKEN: 'kept', PYTHONPATH: '/p', TWINKLE_LOG_LEVEL: 'info' });
    expect(env).not.toHaveProperty('VLLM_API_KEY');
    expect(env).not.toHaveProperty('EMPTY');
  });

  it('puts our Python before the user’s', () => {
    expect(engineEnvironment({ PYTHONPATH: '/mine' }, '/p', 'info').PYTHONPATH).toBe('/p:/mine');
  });

  it('names rank, world and master, and hides every GPU from a rank on the CPU', () => {
    expect(rankEnvironment(IDENTITY, {})).toMatchObject({
      RANK: '1',
      LOCAL_RANK: '1',
      WORLD_SIZE: '2',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: '4000',
      CUDA_VISIBLE_DEVICES: '',
      GLOO_SOCKET_IFNAME: 'lo',
    });
  });

  it('masks devices: a GPU by its UUID, an NPU by its index', () => {
    const gpu = rankEnvironment({ ...IDENTITY, device: { kind: 'gpu', index: 3, uuid: 'GPU-3' } }, {});
    expect(gpu.CUDA_VISIBLE_DEVICES).toBe('GPU-3');
    const npu = rankEnvironment({ ...IDENTITY, device: { kind: 'npu', index: 5, uuid: 'NPU-5' } }, {});
    expect(npu).toMatchObject({ ASCEND_RT_VISIBLE_DEVICES: '5', CUDA_VISIBLE_DEVICES: '' });
  });

  it('lets HCCL meet on the loopback where all ranks are on this machine, unless the user knows better', () => {
    const npu = { kind: 'npu', index: 5, uuid: 'NPU-5' } as const;
    const of = (place: Partial<RankIdentity>, inherited = {}) => rankEnvironment({ ...IDENTITY, ...place }, inherited);
    expect(of({ device: npu }).HCCL_SOCKET_IFNAME).toBe('lo');
    expect(of({ device: npu }, { HCCL_SOCKET_IFNAME: 'eth' }).HCCL_SOCKET_IFNAME).toBe('eth');
    expect(of({ device: npu, masterAddr: '10.0.0.1' })).not.toHaveProperty('HCCL_SOCKET_IFNAME');
    expect(of({ device: { kind: 'gpu', index: 0, uuid: 'GPU-0' } })).not.toHaveProperty('HCCL_SOCKET_IFNAME');
  });

  it('names its device for programs, and its order on the node', () => {
    const place = { localRank: 0, device: { kind: 'npu', index: 5, uuid: 'NPU-5' } } as const;
    expect(rankEnvironment({ ...IDENTITY, ...place }, {})).toMatchObject({
      RANK: '1',
      LOCAL_RANK: '0',
      TWINKLE_DEVICE_IDS: '5',
    });
    expect(rankEnvironment(IDENTITY, {})).toMatchObject({ LOCAL_RANK: '1', TWINKLE_DEVICE_IDS: '' });
  });

  it('masks the devices of all ranks, by index, where they reach each other’s', () => {
    const devices = [4, 6].map((index) => ({ kind: 'gpu' as const, index, uuid: `GPU-${index}` }));
    const places = devices.map((device, localRank) => ({ localRank, device }));
    const peers = peersOf([...places, { localRank: 2, device: null }]);
    expect(peers).toEqual(devices);
    expect(rankEnvironment({ ...IDENTITY, device: devices[1] ?? null, peers }, {})).toMatchObject({
      CUDA_VISIBLE_DEVICES: '4,6',
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      TWINKLE_DEVICE_IDS: 'GPU-6',
    });
    expect(peersOf([{ localRank: 0, device: null }])).toBeNull();
    expect(peersOf([])).toBeNull();
  });

  const gpu = { ...IDENTITY, device: { kind: 'gpu', index: 3, uuid: 'GPU-3' } } as const;
  const npu = { ...IDENTITY, device: { kind: 'npu', index: 5, uuid: 'NPU-5' } } as const;

  it.each(['RAY_EXPERIMENTAL_NOSET_', 'TWINKLE_NOSET_'])('%s…=1: a mask is never touched', (prefix) => {
    const cuda = { [`${prefix}CUDA_VISIBLE_DEVICES`]: '1', CUDA_VISIBLE_DEVICES: '0,1,2,3' };
    expect(rankEnvironment(gpu, cuda)).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
    expect(rankEnvironment(gpu, cuda).TWINKLE_DEVICE_IDS).toBe('GPU-3');
    expect(rankEnvironment(IDENTITY, cuda)).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
    // The other vendor's mask is none of its business.
    expect(rankEnvironment(npu, cuda).ASCEND_RT_VISIBLE_DEVICES).toBe('5');
    const ascend = { [`${prefix}ASCEND_RT_VISIBLE_DEVICES`]: 'true' };
    expect(rankEnvironment(npu, ascend)).not.toHaveProperty('ASCEND_RT_VISIBLE_DEVICES');
    expect(rankEnvironment(npu, ascend)).toMatchObject({ TWINKLE_DEVICE_IDS: '5', CUDA_VISIBLE_DEVICES: '' });
  });

  it.each(['', '0', 'false'])('a NOSET variable of "%s" says nothing', (value) => {
    const env = { RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES: value };
    expect(rankEnvironment(gpu, env).CUDA_VISIBLE_DEVICES).toBe('GPU-3');
  });

  it('lets the user’s own network interface win', () => {
    expect(rankEnvironment(IDENTITY, { GLOO_SOCKET_IFNAME: 'eth7' }).GLOO_SOCKET_IFNAME).toBe('eth7');
    expect(rankEnvironment({ ...IDENTITY, masterAddr: '10.0.0.1' }, {})).not.toHaveProperty('GLOO_SOCKET_IFNAME');
  });
});
