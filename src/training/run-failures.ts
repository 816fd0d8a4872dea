/** Why requests of a run fail that are as they should be, in words for clients. */
import { TwinkleError } from '../errors.js';

/** Whether it means that ranks, and all that they had, are gone. */
export const ranksGone = ({ code }: TwinkleError): boolean => code === 'RANK_FAILED' || code === 'CHANNEL_CLOSED';

/** The weights of a run are gone. */
export function lostWith(run: string, cause: TwinkleError): TwinkleError {
  return new TwinkleError(
    'RANK_FAILED',
    `run \`${run}\` lost its weights (${cause.message}): begin anew, from a saved state if there is one`,
    { cause },
  );
}

/** Its ranks were started again, and know nothing of it. */
export function lostWithRanks(run: string): TwinkleError {
  return lostWith(run, new TwinkleError('RANK_FAILED', 'the ranks that trained it were started again'));
}

/** What the first request hears after its run's gradient was dropped. */
export function withoutGradient(run: string): TwinkleError {
  return new TwinkleError(
    'INVALID_REQUEST',
    `the gradient of run \`${run}\` was dropped: no optim_step came for it for the server's --training-idle-timeout, while other runs waited for room. This request was not done. The run is what its last optim_step left: send the forward_backwards of this step again, and go on`,
    { details: { gradientDropped: true } },
  );
}
