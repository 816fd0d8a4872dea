/** Which names adapters may have. Pure; knows nothing of files but what a path is made of. */
import { TwinkleError } from '../errors.js';

const MAX_CHARS = 200;
/** What the names of adapters begin with that requests cannot name (`hidden-adapters.ts`), and those of no others. */
const HIDDEN = 'tinker://';
/** Letters and digits of any script first: no hidden folder, nothing that starts like an option. */
const FOLDER_NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.+@= -]*$/u;

/** Whether a name that a request brings may be looked up as a folder: one plain path segment that leads nowhere else. */
export function isFolderName(name: string): boolean {
  return name.length <= MAX_CHARS && FOLDER_NAME.test(name) && !name.includes('..');
}

/** Whether adapters of that name are those that requests cannot name. */
export function isHiddenName(name: string): boolean {
  return name.startsWith(HIDDEN);
}

/**
 * A name for an adapter that an operator loads by its path. Wider than {@link isFolderName}, for the name is never part of a path.
 * @param models names of the served models: an adapter must not hide behind one
 * @throws `INVALID_REQUEST` for `lora_name`
 */
export function checkAdapterName(name: string, models: readonly string[]): void {
  const fail = (why: string): never => {
    const shown = JSON.stringify(name.slice(0, 64));
    throw new TwinkleError('INVALID_REQUEST', `expected a name for \`lora_name\` but received ${shown}: ${why}`, {
      param: 'lora_name',
    });
  };
  if (name === '' || name.length > MAX_CHARS) fail(`write 1 to ${MAX_CHARS} characters`);
  if (/\p{Cc}/u.test(name)) fail('leave control characters out');
  if (isHiddenName(name)) fail(`names that begin with ${HIDDEN} are the training service's; choose another`);
  if (models.includes(name)) fail('a served model has this name; choose another');
  const model = models.find((own) => name.startsWith(`${own}:`));
  if (model !== undefined) fail(`requests would read it as an adapter of model ${model}; leave "${model}:" out`);
}
