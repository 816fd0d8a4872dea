/**
 * The beginning of a prompt as a row of hashes, each over everything up to the end of its block: equal hashes at one place mean equal
 * prompts up to there. Made of characters, so no tokenizer is asked. Pure. Collisions (32 bits) cost a cache hit, never a result.
 */

/** Characters of a block; about 32 tokens of English. */
export const BLOCK_CHARS = 128;
/** Blocks that are looked at; what follows does not decide where a request goes. */
export const MAX_BLOCKS = 256;
/** What a token id counts in characters. */
const CHARS_PER_TOKEN = 4;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The parts of a prompt that say what is in an engine's cache after it. */
export interface RoutablePrompt {
  readonly text: string | null;
  readonly token_ids: readonly number[] | null;
  readonly messages: readonly unknown[] | null;
  readonly tools: readonly unknown[] | null;
  readonly chat_template: string | null;
}

/** Collects blocks until there are enough of them. */
class BlockHasher {
  readonly blocks: number[] = [];
  #state = FNV_OFFSET;
  #filled = 0;

  get full(): boolean {
    return this.blocks.length === MAX_BLOCKS;
  }

  /** Character by character in local variables: this is the work of every request. */
  text(text: string, from = 0): void {
    let state = this.#state;
    let at = from;
    while (at < text.length && !this.full) {
      const end = Math.min(text.length, at + BLOCK_CHARS - this.#filled);
      this.#filled += end - at;
      for (; at < end; at++) state = Math.imul(state ^ text.charCodeAt(at), FNV_PRIME);
      this.#close(state);
    }
    this.#state = state;
  }

  tokens(ids: readonly number[]): void {
    for (let at = 0; at < ids.length && !this.full; at++) {
      this.#state = Math.imul(this.#state ^ (ids[at] as number), FNV_PRIME);
      this.#filled += CHARS_PER_TOKEN;
      this.#close(this.#state);
    }
  }

  /** A block is full. */
  #close(state: number): void {
    if (this.#filled < BLOCK_CHARS) return;
    this.#filled = 0;
    this.blocks.push(mixed(state));
  }
}

/** The low bits of FNV are weak: spread them before they become a key. */
function mixed(state: number): number {
  let hash = state ^ (state >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/**
 * Hashes of the whole blocks that a prompt begins with, {@link MAX_BLOCKS} at most; a short prompt has none.
 * @param adapter its cache entries are its own
 */
export function promptBlocks(prompt: RoutablePrompt, adapter = ''): readonly number[] {
  const hasher = new BlockHasher();
  hasher.text(`${adapter}\0${prompt.chat_template ?? ''}\0`);
  if (prompt.token_ids !== null) hasher.tokens(prompt.token_ids);
  else if (prompt.text !== null) hasher.text(prompt.text);
  else {
    // Templates write the tools before the first message.
    for (const tool of prompt.tools ?? []) pushValue(hasher, tool);
    for (const message of prompt.messages ?? []) pushValue(hasher, message);
  }
  return hasher.blocks;
}

/** Fields that carry what the model reads, in the bodies of the engines' own routes. */
const READ = /"(?:messages|prompt|input|query|text_1)"\s*:/;

/** The same of a JSON body that nobody has parsed: from the field that the model reads, as it was written. */
export function bodyBlocks(body: string): readonly number[] {
  const from = body.search(READ);
  if (from < 0) return [];
  const hasher = new BlockHasher();
  hasher.text(body, from);
  return hasher.blocks;
}

/** Not one text with its end mark: that would copy it. */
function pushText(hasher: BlockHasher, text: string): void {
  hasher.text(text);
  hasher.text('\0');
}

/** Any plain value in a fixed form, without building its text: a message may carry megabytes. */
function pushValue(hasher: BlockHasher, value: unknown): void {
  if (hasher.full) return;
  if (typeof value === 'string') pushText(hasher, value);
  else if (typeof value !== 'object' || value === null) pushText(hasher, String(value));
  else if (Array.isArray(value)) {
    for (const item of value) pushValue(hasher, item);
    hasher.text(']');
  } else {
    for (const [key, item] of Object.entries(value)) {
      hasher.text(`${key}:`);
      pushValue(hasher, item);
    }
    hasher.text('}');
  }
}
