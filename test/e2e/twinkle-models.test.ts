/** The models and samplers of Twinkle's client, unmodified, against `serve --config` with the file of a Twinkle Server, whose model is played. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import type { HeadStatus } from '../../src/runtime/types.js';
import { CliServer, runCli } from '../support/cli.js';
import { twinklePython } from '../support/layered-python.js';
import { clientScript } from '../support/tinker-client.js';

const FILE = `
http_options: {host: 127.0.0.1, port: 8000}
persistence: {mode: memory}
applications:
  - name: server
    route_prefix: /api/v1
    import_path: server
    args: {server_config: {per_token_model_limit: 3}, supported_models: [mock-model]}
    deployments: [{name: GatewayServer, ray_actor_options: {num_cpus: 0.1}}]
  - name: models
    route_prefix: /api/v1/model/mock-model
    import_path: model
    args:
      backend: mock
      model_id: mock-model
      nproc_per_node: 1
      device_group: {name: model, ranks: 1, device_type: CPU}
      device_mesh: {device_type: CPU, dp_size: 1}
      adapter_config: {adapter_timeout: 10}
      queue_config: {rps_limit: 1000, tps_limit: 100000}
    deployments: [{name: ModelManagement, ray_actor_options: {num_cpus: 0.1}}]
  - name: samplers
    route_prefix: /api/v1/sampler/mock-model
    import_path: sampler
    args:
      sampler_type: mock
      model_id: mock-model
      nproc_per_node: 1
      device_group: {name: sampler, ranks: 1, device_type: CPU}
      device_mesh: {device_type: CPU, dp_size: 1}
      queue_config: {rps_limit: 1000, tps_limit: 100000}
    deployments: [{name: SamplerManagement, ray_actor_options: {num_cpus: 0.1}}]
`;

type Heard = Readonly<Record<string, unknown>> & { readonly part?: string };

/** The client's script, and what it says. */
class Client {
  readonly #child;
  readonly #lines;
  readonly ended: Promise<unknown[]>;

  constructor(python: string, url: string) {
    const env = { ...process.env, HF_HUB_OFFLINE: '1' };
    const words = [...clientScript('twinkle_models.py'), url, DEMO_MODEL, 'mock-model'];
    this.#child = spawn(python, words, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.ended = once(this.#child, 'exit');
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  async heard(part: string): Promise<Heard> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done === true) throw new Error(`the client ended before it said \`${part}\``);
      if (!value.startsWith('{')) continue;
      const said = JSON.parse(value) as Heard;
      if (said.part === part) return said;
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function trainerPid(home: string): Promise<number> {
  const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: home });
  const [status] = stdout.split('\n').map((line) => (line === '' ? null : (JSON.parse(line) as HeadStatus)));
  const [pid] = status?.training?.[0]?.pids ?? [];
  if (pid == null) throw new Error(`nothing trains: ${stdout}`);
  return pid;
}

const rows = [
  [-0.5, -0.5, -0.5, -0.5],
  [-0.5, -0.5, 0, 0],
];

it('trains, saves, samples; hears of killed ranks and of a server that was started again', {
  timeout: 300_000,
}, async () => {
  const python = await twinklePython();
  const home = mkdtempSync(join(tmpdir(), 'twinkle-models-'));
  const config = join(home, 'server.yaml');
  writeFileSync(config, FILE);
  const start = () => CliServer.ready(['--config', config], { TWINKLE_HOME: home });
  let server = await start();
  const client = new Client(python, server.url);
  try {
    expect(await client.heard('trained')).toMatchObject({
      loss: expect.any(Number),
      logps: rows,
      early: 'None',
      forward: [null, true, expect.any(Number)],
      norm: expect.stringMatching(/^\d/),
      only: true,
      metrics: [expect.any(String), '1.250000e-01', 1],
      evaluation: expect.any(String),
      configs: expect.stringMatching(
        /"r":8,"lora_alpha":32,"lora_dropout":0.05[\s\S]*AdamW[\s\S]*StepLR[\s\S]*steps: 2/,
      ),
    });
    const progress = { cur_step: 4, consumed_train_samples: 12, gradient_accumulation_steps: 2 };
    const saved = await client.heard('saved');
    expect(saved).toMatchObject({ path: expect.stringMatching(/^twinkle:.*:train:0\/weights\/step_1_a$/), progress });
    expect(saved).toMatchObject({ weights: progress, dir: saved.path });
    expect(await client.heard('sampled')).toMatchObject({
      template: 'ok',
      added: 'default',
      plain: [1, 4, 7],
      answer: [2, 4, 4, expect.stringMatching(/^(length|stop)$/)],
      continued: 2,
      trained_on: true,
      lines: [expect.stringMatching(/^(length|stop)$/), true],
      older: expect.stringMatching(/^404 /),
      named: expect.stringMatching(/^400 .*is_sampler=True/s),
      patch: expect.stringMatching(/^400 /),
    });
    expect(await client.heard('refused')).toMatchObject({
      loss: expect.stringMatching(/^400 .*GRPOLos/s),
      batch: expect.stringMatching(/^400 .*expected 1 labels/s),
      patch: expect.stringMatching(/^400 /),
      state: expect.stringMatching(/^400 .*download it/s),
      hub: expect.stringMatching(/^400 .*upload it/s),
      load: expect.stringMatching(/^404 /),
      adapter: expect.stringMatching(/^404 .*there is no adapter `nobody`/s),
      model: expect.stringMatching(/^404 /),
      lora: expect.stringMatching(/^400 .*use_dora/s),
    });

    process.kill(await trainerPid(home), 'SIGKILL');
    client.tell('killed');
    expect(await client.heard('killed')).toMatchObject({
      lost: expect.stringMatching(/^500 .*(lost its weights|rank 0)/s),
      resumed: progress,
      loss: expect.any(Number),
    });

    server.child.kill('SIGKILL');
    await server.ended;
    server = await start();
    client.tell(`restarted ${server.url}`);
    const again = await client.heard('restarted');
    expect(again).toMatchObject({
      configs: expect.stringMatching(/AdamW[\s\S]*Learning rate: 0.5[\s\S]*StepLR[\s\S]*steps: 2/),
      lost: expect.stringMatching(/^500 .*lost its weights \(the server was started again\): begin anew/s),
      resumed: progress,
    });

    // Its session is not heard of any more: the adapter ends.
    const left = async (): Promise<number> => {
      const answer = await fetch(`${server.url}/api/v1/twinkle/status`, { headers: { 'x-api-key': 'key' } });
      return ((await answer.json()) as { resources: { models: number } }).resources.models;
    };
    expect(await left()).toBe(1);
    client.tell('end');
    expect(await client.ended).toEqual([0, null]);
    await expect.poll(left, { timeout: 40_000, interval: 500 }).toBe(0);
  } finally {
    client.kill();
    await server[Symbol.asyncDispose]();
    rmSync(home, { recursive: true, force: true });
  }
});
