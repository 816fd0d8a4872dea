/** Fields that several of Tinker's requests have, as schemas. */
import { TwinkleError } from '../../errors.js';
import { type TSchema, Type } from '../../protocol/type.js';
import { optional } from '../openai/fields.js';

export { optional };

/** Ids that we gave out, or names of users: bounded, because they are kept. */
export const Id = Type.String({ minLength: 1, maxLength: 512 });
/** Numbers that a client counts with. */
export const SeqId = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const Metadata = optional(Type.Record(Type.String(), Type.Unknown()));

/** A request: its fields, and the `type` that the SDK writes into each. */
export const Request = <T extends Record<string, TSchema>>(fields: T) =>
  Type.Object({ ...fields, type: optional(Type.String()) }, { additionalProperties: false });

/** From 1 on: requests of a run. */
export const Count = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 });

export const onlyAdam = (param: string): TwinkleError =>
  new TwinkleError('UNSUPPORTED_PARAMETER', `expected adamw for \`${param}\`: it is the only optimizer here`, {
    param,
  });

/** @throws `UNSUPPORTED_PARAMETER` for another optimizer than AdamW; none at all is fine */
export function checkOptimizer(optimizer: { readonly type: string } | null | undefined): void {
  if (optimizer != null && optimizer.type !== 'adamw') throw onlyAdam('optimizer_config.type');
}

export const noProjects = (param: string): TwinkleError =>
  new TwinkleError('UNSUPPORTED_PARAMETER', `there are no projects here: leave \`${param}\` out`, { param });
