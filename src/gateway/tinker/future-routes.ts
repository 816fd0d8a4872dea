/** Answers that are fetched later: one by one, or as they come. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { Listener, PendingRequest } from '../../training/types.js';
import { callOf } from '../http/call.js';
import { whenClosed } from '../http/closed.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, optional, Request, SeqId } from './fields.js';
import { jsonResult } from './json-result.js';
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

/** The client, which may hang up. */
const clientOf = ({ raw }: FastifyReply): Listener => {
  return (leave) => whenClosed(raw, leave);
};

function expired(id: string): TwinkleError {
  return new TwinkleError('FUTURE_EXPIRED', `request \`${id}\` is not known here any more: ask again for what it was`, {
    param: 'request_id',
  });
}

const PROTOBUF = 'application/x-protobuf';

/** What the SDK takes for an answer, a failure, or a reason to ask again at once. Answers are protobuf for who says that it reads it. */
function send({ headers }: FastifyRequest, reply: FastifyReply, request: PendingRequest): FastifyReply {
  const { answer, id, of, paused } = request;
  if (answer === null) {
    const state =
      paused === null ? { queue_state: 'active' } : { queue_state: 'paused_capacity', queue_state_reason: paused };
    return reply.code(408).send({ type: 'try_again', request_id: id, ...state });
  }
  if ('error' in answer) return reply.send(answer);
  if (answer.kind === 'protobuf' && headers.accept?.includes(PROTOBUF) === true)
    return reply.type(PROTOBUF).send(answer.bytes);
  reply.type('application/json; charset=utf-8');
  return reply.send(answer.kind === 'json' ? answer.bytes : JSON.stringify(jsonResult(of, answer.bytes)));
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
        if (future.answer === null) await future.wait(HOLD_MS, clientOf(reply));
        await training.written();
        return send(request, reply, future);
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
          await feed.wait(holdMs, clientOf(reply));
          feed = look([]);
        }
        await training.written();
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
