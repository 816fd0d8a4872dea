/** What `serve` says while it starts, runs and ends: lines for people, or one JSON object a line for programs. */
import type { SetupProgress } from '../../python/types.js';
import type { StartProgress } from '../../serving/types.js';
import type { CliIo } from '../io.js';
import { StatusLine } from '../render/status-line.js';
import { painter } from '../render/style.js';

/** Where to ask, and what to show with it. */
export interface ReadyFacts {
  readonly url: string | null;
  /** First name of the first model; null: none is served. */
  readonly model: string | null;
  /** Where a client's key is: none is needed, a variable, the file of the generated key, or only its owner knows. */
  readonly keySource: 'none' | 'variable' | 'owner' | { readonly file: string };
  /** Shown once, in the start that made it. */
  readonly generatedKey: string | null;
}

/** Says things to the user of `serve`. */
export class Reporter implements SetupProgress {
  readonly #io: CliIo;
  readonly #json: boolean;
  readonly #status: StatusLine;
  #step = '';

  constructor(io: CliIo, json: boolean) {
    this.#io = io;
    this.#json = json;
    this.#status = new StatusLine(io.stderr);
  }

  /** One line on stdout for programs. */
  event(event: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#json) this.#io.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
  }

  step(text: string): void {
    this.#step = text;
    this.#status.clear();
    this.#status.update(text);
    this.event('setup', { text });
  }

  detail(text: string): void {
    if (text !== '' && this.#io.stderr.isTTY === true) this.#status.update(this.#step, text);
  }

  warn(text: string): void {
    this.note(`${painter(this.#io.stderr, this.#io.env)('yellow', 'warning')}: ${text}`);
    this.event('warning', { message: text });
  }

  /** A line on stderr that stays. */
  note(text: string): void {
    this.#status.line(text);
  }

  progress(model: string, progress: StartProgress): void {
    const percent = progress.progress > 0 && progress.progress < 1 ? `${Math.floor(progress.progress * 100)} %` : '';
    const detail = [percent, progress.detail].filter((part) => part !== '').join(' ');
    // Why it waits must be seen in a log file, too.
    if (progress.phase === 'placement' && this.#io.stderr.isTTY !== true)
      this.note(`${model}: waiting for its place: ${progress.detail}`);
    else this.#status.update(`${model}: ${progress.phase}`, detail);
    this.event('progress', { model, ...snake(progress) });
  }

  failed(model: string, reason: string, incident: string | null): void {
    this.note(`${model} failed: ${reason}${incident === null ? '' : ` (report: ${incident})`}`);
    this.event('failed', { model, reason, incident });
  }

  recovered(model: string, elapsedMs: number): void {
    this.note(`${model} serves again, ${(elapsedMs / 1000).toFixed(1)} s after its new start`);
    this.event('recovered', { model, elapsed_ms: elapsedMs });
  }

  ready(facts: ReadyFacts): void {
    this.#status.clear();
    const { url, model, generatedKey } = facts;
    this.event('ready', {
      url,
      model,
      pid: process.pid,
      ...(generatedKey === null ? {} : { generated_api_key: generatedKey }),
    });
    if (this.#json) return;
    const out = this.#io.stdout;
    out.write(`ready ${url ?? '(without HTTP)'}\n`);
    if (generatedKey !== null && typeof facts.keySource === 'object') {
      out.write(`API key, shown this once and kept in ${facts.keySource.file}:\n  ${generatedKey}\n`);
    }
    if (url !== null && model !== null) out.write(`try:\n  ${curlLine(url, model, facts.keySource)}\n`);
  }

  /** Remove the passing line before others write. */
  clear(): void {
    this.#status.clear();
  }
}

/** A command to paste: a chat completion with the model's name. */
export function curlLine(url: string, model: string, keySource: ReadyFacts['keySource']): string {
  const socket = url.startsWith('unix:') ? `--unix-socket ${quote(url.slice('unix:'.length))} ` : '';
  const base = socket === '' ? url : 'http://localhost';
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello! Who are you?' }] });
  const header = keySource === 'none' ? '' : `-H "authorization: Bearer ${shownKey(keySource)}" `;
  return `curl ${socket}${base}/v1/chat/completions ${header}-H 'content-type: application/json' -d ${quote(body)}`;
}

function shownKey(source: Exclude<ReadyFacts['keySource'], 'none'>): string {
  if (source === 'variable') return '$TWINKLE_API_KEY';
  return source === 'owner' ? 'YOUR_KEY' : `$(cat ${quote(source.file)})`;
}

function quote(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function snake(progress: StartProgress): Record<string, unknown> {
  const { phase, progress: fraction, detail, elapsedMs } = progress;
  return { phase, progress: fraction, detail, elapsed_ms: elapsedMs };
}
