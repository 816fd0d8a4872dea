/**
 * Where stored responses (`/v1/responses`) are: each engine keeps its own, so what refers to one must go to the replica that made it. Learned
 * from answers as they pass. Pure.
 */
import type { HttpParams, HttpPart } from '../protocol/values.js';
import type { HttpSink } from './types.js';

/** One start of a replica: the next one has forgotten its responses. */
export interface ResponseHome {
  readonly replica: string;
  readonly epoch: number;
}

/** Responses that are remembered of a model: some 10 MB at most. */
const MAX_RESPONSES = 65_536;

/** Response id → who has it; the oldest is forgotten first. */
export class ResponseHomes {
  readonly #homes = new Map<string, ResponseHome>();

  /** @param max ids that are remembered */
  constructor(private readonly max = MAX_RESPONSES) {}

  keep(id: string, home: ResponseHome): void {
    this.#homes.delete(id);
    this.#homes.set(id, home);
    if (this.#homes.size <= this.max) return;
    const [oldest] = this.#homes.keys();
    if (oldest !== undefined) this.#homes.delete(oldest);
  }

  /** Null: never heard of it, or so long ago that it has been forgotten. */
  of(id: string): ResponseHome | null {
    return this.#homes.get(id) ?? null;
  }
}

const CREATE = '/v1/responses';
const OF_ONE = /^\/v1\/responses\/([\w-]+)(?:\/cancel)?$/;

/** The stored response that a request is about. */
export interface ResponseReference {
  readonly id: string;
  /** It reads or cancels that response; false: it continues it, and generates. */
  readonly control: boolean;
}

/** Null: it is about none. */
export function referenceOf({ path, body }: Pick<HttpParams, 'path' | 'body'>): ResponseReference | null {
  const id = OF_ONE.exec(path)?.[1];
  // `render` is a route beside the ids: it makes a prompt, and may continue a response too.
  if (id !== undefined && id !== 'render') return { id, control: true };
  if ((path !== CREATE && id === undefined) || !body.includes('"previous_response_id"')) return null;
  const previous = previousOf(body);
  return typeof previous === 'string' ? { id: previous, control: false } : null;
}

function previousOf(body: string): unknown {
  try {
    return (JSON.parse(body) as { previous_response_id?: unknown } | null)?.previous_response_id;
  } catch {
    return null;
  }
}

/** A response as JSON, or as the first event of a stream; ids as the routes take them. */
const ITS_ID = /^(?:\{|[^{]*\{"response":\s*\{)\s*"id":\s*"([\w-]{1,128})"/;
/** An answer's beginning in which its id stands, in bytes. */
const BEGINNING = 512;

/** Finds the id of the response in the answer to a request that makes one. */
class ResponseIdReader {
  #beginning = '';
  #over = false;

  /** The id, once; null before and after, and for an answer that is none. */
  take({ body, status }: HttpPart): string | null {
    if (status !== undefined && status !== 200) this.#over = true;
    if (this.#over) return null;
    this.#beginning += Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, BEGINNING)).toString('latin1');
    const id = ITS_ID.exec(this.#beginning)?.[1] ?? null;
    this.#over = id !== null || this.#beginning.length >= BEGINNING;
    return id;
  }
}

/** The sink of a request that makes a response, where `heard` is told its id; any other sink as it is. */
export function hearingId(
  { method, path }: Pick<HttpParams, 'method' | 'path'>,
  sink: HttpSink,
  heard: (id: string) => void,
): HttpSink {
  if (method !== 'POST' || path !== CREATE) return sink;
  const reader = new ResponseIdReader();
  return {
    delta(part) {
      const id = reader.take(part);
      if (id !== null) heard(id);
      sink.delta(part);
    },
    end: (end) => sink.end(end),
    error: (error) => sink.error(error),
  };
}
