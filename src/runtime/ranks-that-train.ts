/** The ranks of one start of a gang, as one that trains: all are told the same in the same order, and each computes its share. */
import { randomInt } from 'node:crypto';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Calls } from '../protocol/methods.js';
import type { TrainPassResult } from '../protocol/training.js';
import type { Gang } from '../supervisor/gang.js';
import { mergePasses } from '../training/merge-passes.js';
import type { Trainer } from '../training/trainer.js';
import type { Channel } from '../transport/channel.js';
import type { DeviceTurns } from './device-turns.js';

/** A pass over many tokens of a big model takes minutes. A rank that hangs is found by its beats. */
const DEADLINE = { deadlineMs: 3_600_000 } as const;

type Method = Parameters<Trainer['call']>[0];

/** Those that need memory for activations, gradients and what an optimizer computes with. */
const IN_TURN: ReadonlySet<Method> = new Set<Method>(['train_pass', 'train_step', 'train_norm']);
/** Every rank has the same weights, and the same tokenizer: one of them is enough. */
const BY_ONE: ReadonlySet<Method> = new Set<Method>(['train_save', 'train_encode']);
/** The allocator gives back within milliseconds; a rank that does not will be found by its beats. */
const RELEASE = { deadlineMs: 10_000 } as const;

/** @param turns on devices that they share with replicas which sleep meanwhile; null: they always have theirs */
export function trainerOver(gang: Gang, turns: DeviceTurns | null = null): Trainer {
  const { epoch } = gang;
  const gone = (): boolean => gang.epoch !== epoch || gang.lead === null;
  const send = async <M extends Method>(method: M, params: Calls[M]['params']): Promise<Calls[M]['result']> => {
    if (gone()) throw new TwinkleError('RANK_FAILED', `the ranks of ${gang.spec.id} were started again`);
    const channels = channelsOf(gang);
    const [lead, ...others] = channels;
    if (lead === undefined) throw new TwinkleError('RANK_FAILED', `gang ${gang.spec.id} has no ranks`);
    if (others.length === 0 || BY_ONE.has(method)) return await lead.call(method, params, DEADLINE);
    return await callAll(channels, method, params);
  };
  return {
    get gone() {
      return gone();
    },
    call: async (method, params) => {
      // What is gone is not worth a turn.
      if (turns === null || gone()) return await send(method, params);
      const job = () => send(method, params);
      return await (IN_TURN.has(method) ? turns.train(job) : turns.beside(job));
    },
  };
}

/** Have all ranks give back memory that they do not use. Never rejects: what cannot has none, or soon. */
export async function releaseMemory(gang: Gang): Promise<void> {
  if (gang.lead === null) return;
  await Promise.allSettled(channelsOf(gang).map((channel) => channel.call('train_release', null, RELEASE)));
}

function channelsOf(gang: Gang): readonly Channel[] {
  return Array.from({ length: gang.spec.worldSize }, (_, rank) => {
    const session = gang.session(rank);
    if (session === null) throw new TwinkleError('RANK_FAILED', `rank ${rank} of ${gang.spec.id} is gone`);
    return session.channel;
  });
}

async function callAll<M extends Method>(
  channels: readonly Channel[],
  method: M,
  params: Calls[M]['params'],
): Promise<Calls[M]['result']> {
  const told = method === 'train_create' ? seeded(params as Calls['train_create']['params']) : params;
  // All leave within this turn, so every rank hears two calls in the same order.
  const answers = await Promise.allSettled(channels.map((channel) => channel.call(method, told, DEADLINE)));
  const failed = answers.flatMap((answer) => (answer.status === 'rejected' ? [asTwinkleError(answer.reason)] : []));
  const [first] = failed;
  if (first !== undefined) {
    const dead = failed.find(({ code }) => code === 'RANK_FAILED');
    if (dead !== undefined) throw dead;
    // What all refuse changes nothing. What some did leaves weights that differ: nobody can go on with them.
    if (failed.length === answers.length) throw first;
    throw new TwinkleError('RANK_FAILED', `its ranks disagree after ${method}`, { cause: first });
  }
  const results = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  if (method === 'train_pass') return mergePasses(results as TrainPassResult[]) as Calls[M]['result'];
  return results[0] as Calls[M]['result'];
}

/** Every rank must draw the same. */
function seeded(params: Calls['train_create']['params']): Calls['train_create']['params'] {
  return { ...params, seed: params.seed ?? randomInt(2 ** 47) };
}
