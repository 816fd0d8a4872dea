/** `tinker://<run>/<kind>/<name>`: how clients name checkpoints. Pure. */
import { TwinkleError } from '../errors.js';

/** Kinds that there are here, as clients write them, and what REST calls them. */
export const KINDS = { weights: 'training', sampler_weights: 'sampler', external_weights: 'external' } as const;
export type NamedKind = keyof typeof KINDS;
/** Those that no client can name. `handed_over`: of samplers that were made without a name; `parked`: of runs that are off the ranks. */
export type CheckpointKind = NamedKind | 'handed_over' | 'parked';

export interface CheckpointPath {
  readonly run: string;
  readonly kind: CheckpointKind;
  readonly name: string;
}

const SCHEME = 'tinker://';
/** What can be a folder's name everywhere, and goes nowhere else. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const RUN = /^[0-9a-f-]{36}:train:\d{1,16}$/;

export const pathText = ({ kind, name, run }: CheckpointPath): string => `${SCHEME}${run}/${kind}/${name}`;

/** @throws `INVALID_REQUEST` for a name that is none */
export function checkName(name: string, param = 'path'): string {
  if (NAME.test(name)) return name;
  const shown = JSON.stringify(name.slice(0, 140));
  throw new TwinkleError(
    'INVALID_REQUEST',
    `expected letters, digits, "_", "-" and "." (up to 128, not "." first) for \`${param}\` but received ${shown}`,
    { param },
  );
}

/** @throws `INVALID_REQUEST` for what is no such path, `CHECKPOINT_NOT_FOUND` for a kind that there is none of */
export function readPath(text: string, param = 'path'): CheckpointPath {
  const [run = '', kind = '', name = '', more] = text.startsWith(SCHEME) ? text.slice(SCHEME.length).split('/') : [];
  if (!RUN.test(run) || !NAME.test(name) || more !== undefined) {
    const shown = JSON.stringify(text.slice(0, 200));
    throw new TwinkleError(
      'INVALID_REQUEST',
      `expected tinker://<run>/<kind>/<name> for \`${param}\`, with kind ${Object.keys(KINDS).join(', ')}, but received ${shown}`,
      {
        param,
      },
    );
  }
  if (isNamedKind(kind)) return { run, kind, name };
  throw new TwinkleError('CHECKPOINT_NOT_FOUND', `there is no checkpoint \`${text.slice(0, 200)}\` here`, { param });
}

export const isNamedKind = (kind: string): kind is NamedKind => Object.hasOwn(KINDS, kind);

/** What can be a tenant, a checkpoint or a file of one. */
export const isName = (text: string): boolean => NAME.test(text);

export const isRun = (text: string): boolean => RUN.test(text);
