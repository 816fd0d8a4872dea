/**
 * A process that trains as the Tinker SDK does, without the SDK's own cost: each run asks for a forward_backward, waits for its answer, and asks
 * again. Plan on the command line; sends `{ perSecond, p50Ms, p99Ms }`. With `samples` it samples instead, and sends what sampleRounds says.
 */
import { quantile } from './load.mjs';
import { tinkerHttp } from './tinker-http.mjs';
import { forwardBackward } from './tinker-message.mjs';
import { sampleRounds } from './tinker-samples.mjs';

const {
  port,
  runs,
  durationMs,
  model,
  datums,
  tokens,
  vocabulary,
  rank = 8,
  warmMs = 500,
  step = false,
  depth = 1,
  nothing = false,
  samples = null,
} = JSON.parse(process.argv[2]);
const { answered, close, json, post } = tinkerHttp(port, runs ?? samples.concurrent);

async function begin(session_id, model_seq_id) {
  const lora_config = { rank, seed: 1 };
  const made = await json('create_model', { session_id, model_seq_id, base_model: model, lora_config });
  await answered(made.request_id);
  return made.model_id;
}

const times = [];
/** As many requests, which compute nothing: the floor. */
async function idle(until) {
  const body = JSON.stringify({ sdk_version: '0.38.0' });
  while (performance.now() < until) {
    const begun = performance.now();
    await post('client/config', body);
    await post('client/config', body);
    times.push(performance.now() - begun);
  }
}

/** `depth` steps are asked for before the first is waited for, as the SDK's users do. */
async function train(run, until) {
  if (nothing) return await idle(until);
  const asked = [];
  const finish = async () => {
    const { begun, ids } = asked.shift();
    for (const id of ids) await answered(id);
    times.push(performance.now() - begun);
  };
  for (let seqId = 1; performance.now() < until; ) {
    const begun = performance.now();
    const body = forwardBackward({ run, seqId: seqId++, datums, tokens, vocabulary });
    const { request_id } = JSON.parse(await post('forward_backward', body, 'application/x-protobuf'));
    const ids = [request_id];
    if (step) ids.push((await json('optim_step', { model_id: run, seq_id: seqId++ })).request_id);
    asked.push({ begun, ids });
    if (asked.length >= depth) await finish();
  }
  while (asked.length > 0) await finish();
}

/** Runs that were there before, then those that are measured. */
async function trained() {
  const { session_id } = await json('create_session', {});
  const all = [];
  for (let run = 0; run < runs; run++) all.push(await begin(session_id, run));
  await Promise.all(all.map((run) => train(run, performance.now() + warmMs)));
  await json(`sessions/${session_id}/finish`, {}); // its runs make room
  times.length = 0;
  const { session_id: second } = await json('create_session', {});
  const fresh = [];
  for (let run = 0; run < runs; run++) fresh.push(await begin(second, run));
  const begun = performance.now();
  await Promise.all(fresh.map((run) => train(run, begun + durationMs)));
  const perSecond = (times.length / (performance.now() - begun)) * 1000;
  await json(`sessions/${second}/finish`, {});
  return { perSecond, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}

process.send(
  samples === null ? await trained() : await sampleRounds({ answered, json }, { model, vocabulary, ...samples }),
);
close();
process.disconnect();
