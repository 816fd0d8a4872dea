/** Runs of rank 0 train the model's own parameters, and are alone on it: what that makes impossible, and how it is refused. Pure. */
import { TwinkleError } from '../errors.js';
import type { NewRun } from './types.js';

type Sized = Pick<NewRun, 'rank'>;

/** What a model allows. */
export interface FullRules {
  /** Whether runs may train all of a model. */
  readonly full: boolean;
  /** After which a run that nobody asks anything of is in nobody's way. */
  readonly idleMs: number;
}

/** Whether it trains the model's own parameters, and no adapter. */
export const isFull = ({ rank }: Sized): boolean => rank === 0;

/** For people. */
export const sizeText = (run: Sized): string => (isFull(run) ? 'all parameters' : `LoRA rank ${run.rank}`);

/**
 * @param others runs of that model that are on its ranks, or on their way there
 * @throws `UNSUPPORTED_PARAMETER` for a full run where there are none, `INVALID_REQUEST` while another run is in its way
 */
export function checkFull(run: Sized, model: string, others: Iterable<Sized>, { full, idleMs }: FullRules): void {
  const param = 'lora_config.rank';
  if (isFull(run) && !full) {
    throw new TwinkleError(
      'UNSUPPORTED_PARAMETER',
      'rank 0 trains all parameters of a model, and this server was started without --train-full: start it with that option, or take a rank from 1 on',
      { param },
    );
  }
  const present = [...others];
  const taken = present.some(isFull);
  if (present.length === 0 || !(taken || isFull(run))) return;
  const inTheWay = taken
    ? 'is trained as a whole by a run of rank 0, beside which nothing else of it can be trained'
    : 'has LoRA runs on its ranks, beside which a run of rank 0 cannot train all of it';
  throw new TwinkleError(
    'INVALID_REQUEST',
    `model \`${model}\` ${inTheWay}: try again when there is none any more, as it has ended, or was idle for ${idleMs / 1000} s and is parked`,
    { param },
  );
}

/** Weights of such a run go to no engine that runs. @param param of the request */
export function notSampled(param: string): TwinkleError {
  return new TwinkleError(
    'UNSUPPORTED_PARAMETER',
    'a run that trains all parameters has no adapter to sample with: call save_weights_external, and serve the folder that it makes',
    { param },
  );
}
