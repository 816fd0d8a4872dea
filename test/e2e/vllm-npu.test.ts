/**
 * Engine vllm on NPUs that the fake layer plays, with a platform of its own for vLLM as vllm-ascend is one: masks, HCCL's variables, the
 * platform's worker. Its worker can hang, too: a rank that stops, or never comes back from native code, is found, named and replaced.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CliServer, runCli } from '../support/cli.js';
import { isAlive, killProcess } from '../support/gang-kit.js';
import { post } from '../support/http.js';
import { writeVllmPlugin } from '../support/vllm-plugin.js';

const STEP_TIMEOUT_S = 8;
const PLATFORM = `
from vllm.platforms.cpu import CpuPlatform

def register():
    return "twinkle_test_npu.FakeNpuPlatform"

class FakeNpuPlatform(CpuPlatform):
    device_name = "npu"

    @classmethod
    def check_and_update_config(cls, vllm_config):
        super().check_and_update_config(vllm_config)
        vllm_config.parallel_config.worker_cls = "twinkle_test_npu_worker.FakeNpuWorker"
`;
/** The rank that the file names does not come back from the next step, while Python's lock is free. */
const WORKER = `
import ctypes, os, pathlib
from vllm.v1.worker.cpu_worker import CPUWorker

class FakeNpuWorker(CPUWorker):
    def init_device(self):
        names = ("ASCEND_RT_VISIBLE_DEVICES", "HCCL_SOCKET_IFNAME", "CUDA_VISIBLE_DEVICES")
        print("fake npu worker", self.local_rank, *(f"{name}={os.environ.get(name)}" for name in names), flush=True)
        super().init_device()

    def execute_model(self, *args, **kwargs):
        file = pathlib.Path(os.environ["HANG_FILE"])
        if file.exists() and file.read_text() == str(self.rank):
            while True:
                ctypes.CDLL(None).sleep(1000)
        return super().execute_model(*args, **kwargs)
`;

interface Seen {
  readonly epoch: number;
  readonly ranks: readonly { readonly rank: number; readonly pid: number; readonly devices: readonly string[] }[];
}

const folder = mkdtempSync(join(tmpdir(), 'twinkle-npu-'));
const hangFile = join(folder, 'hang');
const MODEL = ['demo', '--engine', 'vllm', '--dtype', 'float32', '--max-model-len', '512'];
let server: CliServer;

beforeAll(async () => {
  writeVllmPlugin(folder, 'twinkle_test_npu', PLATFORM, '[vllm.platform_plugins]\nnpu = twinkle_test_npu:register\n');
  writeFileSync(join(folder, 'twinkle_test_npu_worker.py'), WORKER);
  server = await CliServer.ready([...MODEL, '--npus', '2-3', '-tp', '2', '--step-timeout', String(STEP_TIMEOUT_S)], {
    TWINKLE_FAKE_DEVICES: 'npu:4',
    PYTHONPATH: folder,
    HANG_FILE: hangFile,
  });
}, 180_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function replica(): Promise<Seen> {
  const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: server.home });
  return JSON.parse(stdout).models[0].replicas[0];
}

/** A request that runs until its replica ends; resolves once tokens come, with the rest to come. */
async function running(): Promise<{ readonly rest: Promise<string> }> {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Once', stream: true, max_tokens: 480, ignore_eos: true }),
  });
  const reader = response.body?.getReader();
  await reader?.read();
  const rest = async (): Promise<string> => {
    let text = '';
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
      text += Buffer.from(next.value).toString();
    }
    return text;
  };
  return { rest: rest() };
}

it('plans a bundle with an NPU, the mask of all and HCCL’s interface for each rank', async () => {
  const { stdout, stderr, code } = await runCli(
    ['serve', ...MODEL, '--npus', '0-3', '-tp', '4', '--dry-run', '--json'],
    { TWINKLE_FAKE_DEVICES: 'npu:8', TWINKLE_HOME: join(folder, 'home') },
  );
  expect(code, stderr).toBe(0);
  const lines = stdout.trim().split('\n');
  const { groups, ranks } = lines.map((line) => JSON.parse(line)).find(({ event }) => event === 'plan');
  expect(groups[0].bundles.map(({ resources }: { resources: object }) => resources)).toEqual([
    { NPU: 1, CPU: 1 },
    { NPU: 1 },
    { NPU: 1 },
    { NPU: 1 },
  ]);
  for (const [rank, { device, environment }] of ranks.entries()) {
    expect(device).toEqual({ kind: 'npu', index: rank, uuid: `NPU-fake-000${rank}` });
    expect(environment).toMatchObject({
      ASCEND_RT_VISIBLE_DEVICES: '0,1,2,3',
      CUDA_VISIBLE_DEVICES: '',
      HCCL_SOCKET_IFNAME: 'lo',
      LOCAL_RANK: String(rank),
      TWINKLE_DEVICE_IDS: String(rank),
    });
  }
});

it('runs the platform’s own worker in each rank, which sees the gang’s NPUs', async () => {
  const { ranks } = await replica();
  expect(ranks.map(({ devices }) => devices)).toEqual([['NPU-fake-0002'], ['NPU-fake-0003'], []]);
  for (const rank of [0, 1]) {
    const { stdout } = await runCli(['logs', '--rank', String(rank)], { TWINKLE_HOME: server.home });
    expect(stdout).toContain(
      `fake npu worker ${rank} ASCEND_RT_VISIBLE_DEVICES=2,3 HCCL_SOCKET_IFNAME=lo CUDA_VISIBLE_DEVICES=`,
    );
  }
});

it.each([
  ['is stopped', 'no sign of life', (pid: number) => killProcess(pid, 'SIGSTOP')],
  ['never returns from native code', 'it hangs', () => writeFileSync(hangFile, '1')],
] as const)(
  'a rank that %s in a step is found in time and named, not those who wait for it',
  async (_how, words, hang) => {
    const before = await replica();
    const streams = await Promise.all([running(), running(), running()]);
    const start = performance.now();
    hang(before.ranks[1]?.pid ?? 0);
    for (const { rest } of streams) {
      const said = await rest;
      expect(said).toContain('rank_failed');
      expect(said).toMatch(new RegExp(`rank 1 has .*${words}`));
    }
    expect((performance.now() - start) / 1000).toBeLessThan(STEP_TIMEOUT_S + 5);
    rmSync(hangFile, { force: true });
    const { status, text } = await post(`${server.url}/v1/completions`, { prompt: 'Once', max_tokens: 3 });
    expect(status, text).toBe(200);
    const after = await replica();
    expect(after.epoch).toBe(before.epoch + 1);
    expect(before.ranks.filter(({ pid }) => isAlive(pid))).toEqual([]);
  },
  120_000,
);
