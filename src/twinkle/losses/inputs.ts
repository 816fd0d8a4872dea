/** The inputs of a work: what a loss takes of its sequences, as bytes. Pure. */
import type { TrainInput } from '../../protocol/training.js';
import { IGNORED } from '../feature-fields.js';
import { packNumbers, packTargets } from './pack.js';
import type { Sequence } from './sequence.js';
import type { LossSpec } from './spec.js';
import { type InputName, WIRE } from './wire.js';

/** Numbers and texts of a loss, by name. */
export type Config = Record<string, number | string>;

/** @param factor what each token of a sequence is multiplied by */
export function inputsOf(
  wire: LossSpec['wire'],
  config: Config,
  sequences: readonly Sequence[],
  factor: readonly number[],
): TrainInput[] {
  const counted = (value: (at: number) => number) =>
    sequences.map(({ labels }, at) => labels.map((label) => (label === IGNORED ? 0 : value(at))));
  const rows = (one: (sequence: Sequence) => readonly number[] | null) =>
    sequences.map((sequence) => one(sequence) ?? []);
  const pack: Readonly<Record<InputName, () => TrainInput | null>> = {
    target_tokens: () => packTargets(rows(({ labels }) => labels)),
    weights: () =>
      packNumbers(
        'weights',
        counted((at) => factor[at] ?? 0),
      ),
    mask: () =>
      packNumbers(
        'mask',
        counted(() => 1),
      ),
    logprobs: () =>
      config.on_policy === 0
        ? packNumbers(
            'logprobs',
            rows(({ old }) => old),
          )
        : null,
    ref_logprobs: () =>
      wantsReference(config)
        ? packNumbers(
            'ref_logprobs',
            rows(({ reference }) => reference),
          )
        : null,
    advantages: () =>
      packNumbers(
        'advantages',
        rows(({ advantages }) => advantages),
      ),
    anchor: () => null,
  };
  const names: readonly InputName[] = WIRE[wire].inputs;
  return names.map((name) => pack[name]()).filter((input) => input !== null);
}

/** A policy is held near it by beta; gains of pairs are counted from it. */
function wantsReference({ beta, on_policy, reference_free }: Config): boolean {
  return on_policy === undefined ? reference_free === 0 : beta !== 0;
}
