/** A request of a client → the parameters of the stream `http`, and its run. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ServedModel } from '../../serving/types.js';
import type { GatewayContext } from '../context.js';
import { callOf } from '../http/call.js';
import { headersToEngine } from './headers.js';
import { RelayRun } from './relay-run.js';
import { checkToolSchemas } from './tool-schemas.js';

/** Widest request that counts by its `n`: as many choices as this server itself allows. */
const MAX_WIDTH = 128;

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});

/** `model` of a body, or of the query of a request without one; null: not said. */
export function modelNameOf({ body, query }: Pick<FastifyRequest, 'body' | 'query'>): string | null {
  const { model } = body === undefined || body === null ? fieldsOf(query) : fieldsOf(body);
  return typeof model === 'string' ? model : null;
}

function widthOf({ n }: Fields): number {
  return typeof n === 'number' && Number.isInteger(n) ? Math.min(Math.max(n, 1), MAX_WIDTH) : 1;
}

/**
 * Hand the request to the engine of `model`; the answer comes by `reply`, later. Throws what `Inference.relay` throws, and
 * `INVALID_REQUEST` for a tool without a JSON schema.
 * @param path of the engine's server; a prefix of the host is not part of it
 * @param text the JSON text of the body as it was sent, so that numbers and unknown fields arrive untouched; empty: none
 */
export function relayRequest(
  context: GatewayContext,
  request: FastifyRequest,
  reply: FastifyReply,
  { model, path, text }: { readonly model: ServedModel; readonly path: string; readonly text: string },
): void {
  const { requestId } = callOf(request);
  const mark = request.url.indexOf('?');
  const body = fieldsOf(request.body);
  checkToolSchemas(body.tools);
  new RelayRun({
    context,
    request,
    reply,
    model,
    params: {
      request_id: requestId,
      // The answer to HEAD is that to GET; fastify leaves its body out.
      method: request.method === 'HEAD' ? 'GET' : request.method,
      path,
      query: mark < 0 ? '' : request.url.slice(mark + 1),
      headers: headersToEngine(request.headers, requestId, text),
      body: text,
    },
    width: widthOf(body),
    wantsEvents: body.stream === true,
  }).start();
}
