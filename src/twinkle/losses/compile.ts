/** From a loss, sequences and what came with them to a work for the ranks. Pure. */
import { TwinkleError } from '../../errors.js';
import type { TrainWork } from '../../protocol/training.js';
import type { Given } from '../arguments.js';
import type { Feature, Task } from '../features.js';
import { type Call, readCall } from './call.js';
import { type Config, inputsOf } from './inputs.js';
import { packNumbers, packTargets, packTokens } from './pack.js';
import { batchOf, embedded, type Sequence, sequencesOf } from './sequence.js';
import type { LossSpec } from './spec.js';
import { denominatorOf, factors } from './weights.js';
import { type Family, WIRE, type WireName } from './wire.js';

/** A work, and what its caller must keep of it. */
export interface CompiledWork {
  /** Forward only, too, where the loss is 0 whatever the model says: the gradient is as it was. */
  readonly work: Omit<TrainWork, 'run'>;
  readonly task: Task;
  /** What the gradient of a step is divided by grows by it. */
  readonly denominator: number;
  /** Whether `loss:sum` of the outcome is the loss; it is 0, and means nothing, where no loss was asked for. */
  readonly hasLoss: boolean;
  /** For metrics. */
  readonly sequences: readonly Sequence[];
}

const refused = (message: string, param: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param });

/** Of these, the sum of a sequence is meant, and one number for it is not one for each of its tokens. */
const isPairs = (family: Family): boolean => family === 'pairs';

/**
 * A pass with a loss.
 * @param kwargs what came with the inputs: see {@link readCall}
 * @param forwardOnly the gradient is left alone
 * @throws `INVALID_REQUEST`
 */
export function compileWork(
  spec: LossSpec,
  features: readonly Feature[],
  kwargs: Given,
  forwardOnly: boolean,
): CompiledWork {
  const { family } = WIRE[spec.wire];
  const call = readCall({ name: spec.name, family }, kwargs);
  if (call.disableLora && !forwardOnly)
    throw refused('`disable_lora` asks the base model, which is not trained; use forward_only', 'disable_lora');
  checkTask(spec, call.task);
  if (family === 'contrast') return contrast(spec, features, call, forwardOnly);
  if (isPairs(family) && features.length % 2 !== 0) {
    throw refused(
      `expected pairs, a chosen sequence and then its rejected one, for ${spec.name} but received ${features.length} inputs`,
      'inputs',
    );
  }
  const sequences = sequencesOf(features, call.data, { unlabelled: forwardOnly, scalars: !isPairs(family) });
  const batch = batchOf(sequences, call.data);
  const base = { task: call.task, denominator: denominatorOf(spec, batch), hasLoss: true, sequences };
  const config = { ...spec.config, ...passConfig(spec, call) };
  if (isIdle(spec, family, call)) return { ...base, work: logprobs(features, sequences, call, spec) };
  if (family === 'policy') addPolicy(config, call);
  const inputs = inputsOf(spec.wire, config, sequences, factors(spec, batch));
  return {
    ...base,
    work: {
      loss: spec.wire,
      config,
      forward_only: forwardOnly,
      ...packTokens(features.map(({ tokens }) => tokens)),
      inputs,
    },
  };
}

/**
 * A pass without a loss, forward only: log-probabilities of targets, or embeddings.
 * @param spec of the adapter: entropies are computed where it wants them
 * @throws `INVALID_REQUEST`
 */
export function compileForward(spec: LossSpec, features: readonly Feature[], kwargs: Given): CompiledWork {
  const call = readCall(null, kwargs);
  const { task } = call;
  if (task === 'embedding') {
    const sequences = features.map(embedded);
    return {
      work: { ...bare('twinkle.embedding', features), config: baseConfig(call) },
      task,
      denominator: 0,
      hasLoss: false,
      sequences,
    };
  }
  const sequences = sequencesOf(features, call.data, { unlabelled: true, scalars: !isPairs(WIRE[spec.wire].family) });
  return { work: logprobs(features, sequences, call, spec), task, denominator: 0, hasLoss: false, sequences };
}

function checkTask({ name, wire }: LossSpec, task: Task): void {
  const wanted: Task = WIRE[wire].family === 'contrast' ? 'embedding' : 'causal_lm';
  if (task !== wanted)
    throw refused(`expected \`task\` "${wanted}" with ${name} but received "${task}"; set it, or another loss`, 'task');
}

function contrast(spec: LossSpec, features: readonly Feature[], call: Call, forwardOnly: boolean): CompiledWork {
  const sequences = features.map(embedded);
  const anchors = sequences.map(({ anchor }, at) => {
    if (anchor !== null) return [Number(anchor)];
    throw refused(
      `${spec.name} needs \`labels\` of each input, [1] for an anchor or [0], and inputs[${at}] has none`,
      `inputs[${at}].labels`,
    );
  });
  const config = { ...spec.config, ...baseConfig(call) };
  const inputs = [packNumbers('anchor', anchors)];
  const work = { ...bare(spec.wire, features), config, forward_only: forwardOnly, inputs };
  return { work, task: call.task, denominator: 1, hasLoss: true, sequences };
}

/** Whether the client sent nothing to learn from: its classes then have a loss of 0. */
function isIdle({ config }: LossSpec, family: Family, { data }: Call): boolean {
  if (family === 'policy') return data.advantages === null;
  return config.reference_free === 0 && data.reference === null;
}

/** The penalty needs a reference, and a ratio an old policy; there is none of either without. */
function addPolicy(config: Config, { data }: Call): void {
  config.on_policy = Number(data.old === null);
  if (data.reference === null) config.beta = 0;
}

const baseConfig = ({ disableLora }: Call): Config => (disableLora ? { disable_lora: 1 } : {});

function passConfig({ config }: LossSpec, call: Call): Config {
  const entropies = typeof config.entropy_coef === 'number' && config.entropy_coef > 0;
  return {
    ...baseConfig(call),
    ...(call.temperature === 1 ? {} : { temperature: call.temperature }),
    ...(entropies ? { entropies: 1 } : {}),
  };
}

const bare = (loss: WireName, features: readonly Feature[]): Omit<TrainWork, 'run'> => ({
  loss,
  config: {},
  forward_only: true,
  ...packTokens(features.map(({ tokens }) => tokens)),
  inputs: [],
});

/** Log-probabilities alone: a loss that counts nothing. */
function logprobs(
  features: readonly Feature[],
  sequences: readonly Sequence[],
  call: Call,
  spec: LossSpec,
): Omit<TrainWork, 'run'> {
  const labels = sequences.map((sequence) => sequence.labels);
  const weights = labels.map((row) => row.map(() => 0));
  const inputs = [packTargets(labels), packNumbers('weights', weights)];
  return { ...bare('twinkle.cross_entropy', features), config: passConfig(spec, call), inputs };
}
