/**
 * A Twinkle Server's file on one GPU: its model is trained in a placement group of its own, by the losses of Twinkle's API, with dropout. Random weights
 * in the shape of Qwen3-0.6B (`GPU_TEST_SHAPE`).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomModel } from '../../bench/lib/random-model.mjs';
import { gpu } from './lib/device-watch.mjs';
import { PYTHON, Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';

const report = new Report('gpu-twinkle');
const model = randomModel(PYTHON, process.env.GPU_TEST_SHAPE ?? 'qwen3-0.6b');
const folder = mkdtempSync(join(tmpdir(), 'gpu-twinkle-'));
const file = join(folder, 'server.yaml');
writeFileSync(
  file,
  `applications:
  - name: model
    route_prefix: /api/v1/model/m
    import_path: model
    args:
      backend: transformers
      model_id: ${model.folder}
      max_length: 2048
      queue_config: {tps_limit: 0, rps_limit: 0, max_input_tokens: 100000}
      device_group: {name: m, ranks: 1, device_type: cuda}
      device_mesh: {device_type: cuda, dp_size: 1}
`,
);

/** An adapter, by HTTP as the client has it. */
async function adapterAt(url, name, config) {
  const post = async (path, body, session) => {
    const headers = { 'content-type': 'application/json', ...(session ? { 'x-twinkle-session-id': session } : {}) };
    const answer = await fetch(`${url}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const json = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${json.detail}`);
    return json;
  };
  const { session_id: session } = await post('twinkle/create_session', {});
  const call = async (method, body = {}) =>
    (await post(`model/m/twinkle/${method}`, { adapter_name: name, ...body }, session))?.result;
  await call('add_adapter_to_model', { config: { r: 8, lora_alpha: 16, target_modules: 'all-linear', ...config } });
  await call('set_optimizer', { optimizer_cls: 'AdamW', lr: 1e-3 });
  return call;
}

const sequence = (seed, length) => Array.from({ length }, (_, at) => 1 + ((at * 37 + seed * 101) % 2999));
const inputs = Array.from({ length: 8 }, (_, at) => {
  const ids = sequence(at, 256);
  return { input_ids: ids, labels: [...ids.slice(1), -100].map((one, place) => (place < 32 ? -100 : one)) };
});
const near = (a, b, by) => Math.abs(a - b) <= by * Math.max(1e-6, Math.abs(b));

try {
  await report.part('twinkle', async () => {
    const before = gpu().memoryUsedBytes;
    const server = await serve(['--config', file]);
    try {
      report.figure('GB of the ranks that train', Math.round((gpu().memoryUsedBytes - before) / 1e7) / 100);
      const call = await adapterAt(server.url, 'sft', { lora_dropout: 0.1 });
      const still = await call('forward_only', { inputs });
      const again = await call('forward_only', { inputs });
      report.check('without backward nothing is dropped', JSON.stringify(still.logps) === JSON.stringify(again.logps));
      await call('forward_backward', { inputs });
      await call('clip_grad_and_step');
      const losses = [];
      const begun = performance.now();
      for (let step = 0; step < 8; step++) {
        losses.push((await call('forward_backward', { inputs })).loss);
        await call('clip_grad_and_step');
      }
      report.figure(
        'steps of 8 × 256 tokens, by HTTP, /s',
        Math.round(8000 / ((performance.now() - begun) / 1000)) / 1000,
      );
      report.check('the loss falls, though inputs are dropped', losses.at(-1) < 0.98 * losses[0], losses);
      const first = (await call('forward_backward', { inputs })).loss;
      const second = (await call('forward_backward', { inputs })).loss;
      report.check('each pass drops others', first !== second && near(first, second, 0.05), { first, second });
      const norm = Number(await call('clip_grad_norm', { max_grad_norm: 1 }));
      report.check('the gradient has a norm', Number.isFinite(norm) && norm > 0, norm);
      await call('zero_grad');

      const speed = await adapterAt(server.url, 'speed', {});
      await speed('forward_backward', { inputs });
      const from = performance.now();
      for (let step = 0; step < 8; step++) {
        await speed('forward_backward', { inputs });
        await speed('clip_grad_and_step');
      }
      report.figure('the same without dropout, /s', Math.round(8000 / ((performance.now() - from) / 1000)) / 1000);

      const plain = await adapterAt(server.url, 'rl', {});
      const { logps } = await plain('forward_only', { inputs });
      const old = logps.map((row, at) => row.filter((_, place) => inputs[at].labels[place] !== -100));
      const advantages = inputs.map((_, at) => (at % 2 === 0 ? 1.5 : -0.5));
      for (const loss of ['GRPOLoss', 'GSPOLoss', 'SAPOLoss', 'BNPOLoss']) {
        await plain('set_loss', { loss_cls: loss });
        const { loss: value } = await plain('forward_backward', { inputs, advantages, old_logps: old });
        const expected = loss === 'SAPOLoss' ? -0.5 * 2 : -0.5;
        // On its own policy every ratio is 1; a soft gate of 1 is at half of 4.
        report.check(`${loss} on its own policy`, near(value, expected, 0.02), { value, expected });
      }
      await plain('set_loss', { loss_cls: 'DPOLoss', beta: 0.1 });
      const reference = await plain('forward_only', { inputs, disable_lora: true });
      const { loss: undecided } = await plain('forward_backward', { inputs, ref_outputs: reference });
      report.check('DPO of an untrained adapter is undecided', near(undecided, Math.log(2), 1e-3), undecided);
      await plain('clip_grad_and_step');
      const { loss: decided } = await plain('forward_backward', { inputs, ref_outputs: reference });
      report.check('and prefers after a step', decided < undecided, decided);
      await plain('set_loss', { loss_cls: 'InfonceLoss', temperature: 0.07, use_batch: true });
      const pairs = inputs.flatMap(({ input_ids: ids }) => [
        { input_ids: ids, labels: [1] },
        { input_ids: ids.slice(0, 128), labels: [0] },
      ]);
      const contrasts = [];
      for (let step = 0; step < 4; step++) {
        contrasts.push((await plain('forward_backward', { inputs: pairs, task: 'embedding' })).loss);
        await plain('clip_grad_and_step');
      }
      report.check('a contrast is learned', contrasts.at(-1) < contrasts[0], contrasts);
      const { embeddings } = await plain('forward_only', { inputs: pairs, task: 'embedding' });
      const lengths = embeddings.map((row) => Math.hypot(...row));
      report.check(
        'embeddings have length 1',
        lengths.every((one) => near(one, 1, 1e-3)),
      );
    } finally {
      await server.stop();
    }
  });
} finally {
  rmSync(folder, { recursive: true });
  model[Symbol.dispose]();
}
report.end();
