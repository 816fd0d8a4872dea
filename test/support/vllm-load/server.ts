/** A vLLM server with two replicas, which store responses, and two adapters, which come from a bucket: one at the start, one on first use. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askStatus } from '../../../src/cli/admin.js';
import { listInstances } from '../../../src/runtime/instance-file.js';
import type { HeadStatus } from '../../../src/runtime/types.js';
import { processesWithEnv } from '../../../src/supervisor/proc.js';
import { processStat } from '../../../src/util/proc-stat.js';
import { CliServer } from '../cli.js';
import { loraAdapter } from '../lora-adapter.js';
import { S3Server } from '../s3-server.js';

/** See there. */
const LIVE_MEMORY = fileURLToPath(new URL('../../fixtures/live-memory', import.meta.url));

export const ADAPTERS = ['early', 'late'] as const;

/** The KV cache is small, so that soon all of it has been touched and memory stands still. */
const CONFIG = `
llm_configs:
  - model_loading_config: {model_id: demo, model_source: demo}
    engine_kwargs:
      data_parallel_size: 2
      dtype: float32
      max_model_len: 512
      kv_cache_memory_bytes: 33554432
      max_num_seqs: 8
      max_loras: 2
      max_lora_rank: 8
      lora_modules: ["early=s3://bucket/loras/early"]
    lora_config: {dynamic_lora_loading_path: "s3://bucket/loras", max_num_adapters_per_replica: 2}
`;

export class VllmLoraServer implements AsyncDisposable {
  private constructor(
    readonly cli: CliServer,
    readonly s3: S3Server,
    /** Home, and what its processes take for the system's temporary folder. */
    readonly folder: string,
    readonly instance: string,
  ) {}

  /** @param restarts that the breaker must let pass */
  static async start(restarts: number): Promise<VllmLoraServer> {
    const folder = mkdtempSync(join(tmpdir(), 'twinkle-lora-'));
    const s3 = await S3Server.start();
    ADAPTERS.forEach((name, seed) => {
      for (const [file, content] of loraAdapter(seed + 1)) s3.put(`loras/${name}/${file}`, content);
    });
    const home = join(folder, 'home');
    const temporary = join(folder, 'tmp');
    mkdirSync(temporary);
    writeFileSync(join(folder, 'serve.yaml'), CONFIG);
    const args = ['--config', join(folder, 'serve.yaml'), '--cpu', '--crash-loop-limit', String(restarts + 10)];
    const stores = { VLLM_ENABLE_RESPONSES_API_STORE: '1' };
    const memory = join(folder, 'memory');
    mkdirSync(memory);
    const looks = { PYTHONPATH: LIVE_MEMORY, TWINKLE_LIVE_MEMORY: memory };
    const env = { ...s3.env, ...stores, ...looks, TWINKLE_HOME: home, TMPDIR: temporary, OMP_NUM_THREADS: '1' };
    const cli = await CliServer.ready(args, env);
    const [found] = listInstances(home);
    if (found === undefined) throw new Error('the server wrote no instance file');
    return new VllmLoraServer(cli, s3, folder, found.file.instance);
  }

  get url(): string {
    return this.cli.url;
  }

  /** Where its ranks write what memory they use. */
  get memoryFolder(): string {
    return join(this.folder, 'memory');
  }

  get home(): string {
    return this.cli.home;
  }

  async status(): Promise<HeadStatus> {
    const [found] = listInstances(this.home);
    if (found === undefined) throw new Error('the server is gone');
    const status = await askStatus(found.file);
    if ('silent' in status || status.kind !== 'serve') throw new Error(`no status: ${JSON.stringify(status)}`);
    return status;
  }

  async replicas(): Promise<HeadStatus['models'][number]['replicas']> {
    return (await this.status()).models.flatMap(({ replicas }) => replicas);
  }

  /** Processes of the engines now: the ranks, by their replica, and the template that forks them. */
  async processes(): Promise<{ readonly ranks: ReadonlyMap<number, string>; readonly template: number | null }> {
    const ranks = new Map<number, string>();
    for (const { id, ranks: own } of await this.replicas())
      for (const { pid } of own) if (pid !== null) ranks.set(pid, id);
    const ours = processesWithEnv('TWINKLE_INSTANCE', this.instance);
    const template = ours.find((pid) => !ranks.has(pid) && processStat(pid)?.ppid === this.cli.pid);
    return { ranks, template: template ?? null };
  }

  /** What of this server lies on the disk, but logs and incident reports. */
  files(): string[] {
    return readdirSync(this.folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => !/^(home\/(logs|incidents)|memory)\//.test(path))
      .sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cli[Symbol.asyncDispose]();
    await this.s3[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
