/** Which headers pass between a client and the engine's own server: few, and none that opens this server. */
import type { IncomingHttpHeaders } from 'node:http';

/** What an engine may need to know of a request. Keys and cookies are of no use to it. */
const TO_ENGINE = [
  'accept',
  'traceparent',
  'tracestate',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
] as const;
/** `metadata` describes answers in bytes (vLLM's embeddings). */
const TO_CLIENT: ReadonlySet<string> = new Set(['content-type', 'retry-after', 'metadata']);

/** Headers for the engine; a body is JSON by whatever name it was sent. */
export function headersToEngine(
  headers: IncomingHttpHeaders,
  requestId: string,
  body: string,
): [name: string, value: string][] {
  const passed: [string, string][] = [['x-request-id', requestId]];
  if (body !== '') passed.push(['content-type', 'application/json']);
  for (const name of TO_ENGINE) {
    const value = headers[name];
    if (typeof value === 'string') passed.push([name, value]);
  }
  return passed;
}

/** Node throws for any other value when the head is written, and then nobody would answer the client. */
const SENDABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers for the client, with lower case names; without those that HTTP cannot carry. */
export function headersToClient(headers: readonly (readonly [string, string])[]): [name: string, value: string][] {
  return headers
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name, value]) => TO_CLIENT.has(name) && SENDABLE.test(value));
}
