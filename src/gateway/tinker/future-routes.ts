/** Answers that are fetched later: one by one, or as they come. */
import type { FastifyReply } from 'fastify';
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { FutureFailure, FutureResult } from '../../training/types.js';
import { callOf } from '../http/call.js';
import { whenClosed } from '../http/closed.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, optional, Request, SeqId } from './fields.js';
import type { TinkerRoutes } from './route.js';

/** The SDK hangs up after 45 s. */
const HOLD_MS = 30_000;

const RetrieveFuture = Request({ request_id: Id, allow_metadata_only: optional(Type.Boolean()) });
const RetrieveFutures = Request({
  target: Type.Object({ type: Type.Literal('sampling_session'), sampling_session_id: Id, cloned_sampler_id: SeqId }),
  prev_cursor: SeqId,
  timeout: optional(Type.Number({ minimum: 0, description: 'Seconds; 0: no wait.' })),
  retrieved_request_ids: optional(Type.Array(Id)),
});
const CancelFuture = Request({ request_id: Id });

/** Aborted when the client has gone. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  // Not when the answer was sent: an abort makes an error with its stack.
  whenClosed(reply.raw, (complete) => {
    if (!complete) gone.abort();
  });
  return gone.signal;
}

function expired(id: string): TwinkleError {
  return new TwinkleError('FUTURE_EXPIRED', `request \`${id}\` is not known here any more: ask again for what it was`, {
    param: 'request_id',
  });
}

/** What the SDK takes for an answer, a failure, or a reason to ask again at once. */
function send(reply: FastifyReply, id: string, answer: FutureResult | FutureFailure | null): FastifyReply {
  if (answer === null) return reply.code(408).send({ type: 'try_again', request_id: id, queue_state: 'active' });
  if ('error' in answer) return reply.send(answer);
  const type = answer.kind === 'protobuf' ? 'application/x-protobuf' : 'application/json; charset=utf-8';
  return reply.type(type).send(answer.bytes);
}

export function futureRoutes(routes: TinkerRoutes): RouteSpec[] {
  const { training } = routes;
  return [
    routes.raw(
      'retrieve_future',
      'The answer of a request, waited for.',
      RetrieveFuture,
      async (request, reply): Promise<FastifyReply> => {
        const { request_id: id } = request.body as Static<typeof RetrieveFuture>;
        const future = training.request(callOf(request).tenant, id);
        if (future === null) throw expired(id);
        if (future.answer === null) await future.wait(HOLD_MS, goneSignal(reply));
        return send(reply, id, future.answer);
      },
    ),
    routes.raw(
      'retrieve_futures',
      'Which requests of a sampling session have answers, waited for.',
      RetrieveFutures,
      async (request, reply): Promise<FastifyReply> => {
        const { prev_cursor, retrieved_request_ids, target, timeout } = request.body as Static<typeof RetrieveFutures>;
        const { cloned_sampler_id: clone, sampling_session_id: sampler } = target;
        const { tenant } = callOf(request);
        const look = (retrieved: readonly string[]) =>
          training.completions(tenant, sampler, clone, prev_cursor, retrieved);
        let feed = look(retrieved_request_ids ?? []);
        const holdMs = Math.min((timeout ?? Number.POSITIVE_INFINITY) * 1000, HOLD_MS);
        if (feed.completions.length === 0 && holdMs > 0) {
          await feed.wait(holdMs, goneSignal(reply));
          feed = look([]);
        }
        const completions = feed.completions.map(({ requestId, size }) =>
          size === null
            ? { state: 'failed', request_id: requestId }
            : { state: 'finished', request_id: requestId, response_payload_uncompressed_size: size },
        );
        return reply.send({ completions, cursor: feed.cursor });
      },
    ),
    routes.post('cancel_future', 'Stop computing an answer.', CancelFuture, ({ request, tenant }) => {
      training.request(tenant, (request.body as Static<typeof CancelFuture>).request_id)?.cancel();
      return {};
    }),
  ];
}
