/** Fields that several of Tinker's requests have, as schemas. */
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
