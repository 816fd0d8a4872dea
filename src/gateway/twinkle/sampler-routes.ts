/** `<path of a sampler>/twinkle/…`: completions, as `vLLMSampler` of twinkle-kit asks for them. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { SampleCall, TwinkleSamplers } from '../../twinkle/types.js';
import { callOf } from '../http/call.js';
import { whenClosed } from '../http/closed.js';
import type { RouteSpec } from '../http/routes.js';
import { optional } from '../openai/fields.js';
import { Id } from '../tinker/fields.js';
import type { TinkerRoutes } from '../tinker/route.js';
import { ndjson } from './ndjson.js';
import { sessionOf } from './session-header.js';

const Sample = Type.Object(
  {
    inputs: Type.Unknown(),
    sampling_params: optional(Type.Record(Type.String(), Type.Unknown())),
    adapter_name: optional(Type.String()),
    adapter_uri: optional(Type.String()),
    num_samples: optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
const Open = Type.Object({}, { additionalProperties: true });
const Template = Type.Object({ template_cls: Id }, { additionalProperties: true });
const Adapter = Type.Object({ adapter_name: Id, config: Type.Unknown() }, { additionalProperties: true });

function sampleOf(request: FastifyRequest, model: string): Omit<SampleCall, 'left'> {
  const body = request.body as Static<typeof Sample>;
  const { adapter_name: name, adapter_uri: uri, inputs, num_samples: count, sampling_params: params } = body;
  const { requestId, tenant } = callOf(request);
  return {
    ...{ tenant, requestId, model, inputs },
    session: sessionOf(request),
    // The client says it beside them, too, and always: what stands in them counts.
    params: count == null || count === 1 ? (params ?? null) : { num_samples: count, ...params },
    adapterUri: uri ?? null,
    adapterName: name ?? '',
  };
}

/** @param routes below the sampler's path */
export function completionRoutes(routes: TinkerRoutes, samplers: TwinkleSamplers, model: string): RouteSpec[] {
  const sample = async (request: FastifyRequest, reply: FastifyReply): Promise<object> => {
    const aborts: (() => void)[] = [];
    whenClosed(reply.raw, (complete) => {
      if (!complete) for (const abort of aborts) abort();
    });
    return { samples: await samplers.sample({ ...sampleOf(request, model), left: (abort) => aborts.push(abort) }) };
  };
  const stream = (request: FastifyRequest, reply: FastifyReply): unknown => {
    const lines = ndjson(reply);
    const generation = samplers.stream(sampleOf(request, model), {
      delta: (delta, finish) => lines.write({ delta, finish_reason: finish }),
      end: () => lines.end(),
      error: (error) => lines.fail(error),
    });
    whenClosed(reply.raw, (complete) => {
      if (!complete) generation.abort();
    });
    return reply;
  };
  return [
    routes.post('twinkle/create', 'Whether the model can be sampled from here.', Open, () => {
      samplers.check(model);
      return { status: 'ok' };
    }),
    routes.raw('twinkle/sample', 'Completions of sequences or conversations.', Sample, sample),
    routes.raw('twinkle/sample_stream', 'One completion, as lines of JSON.', Sample, stream),
    routes.post('twinkle/set_template', 'How conversations are written.', Template, ({ request, tenant }) => {
      const { adapter_name: _, template_cls: name, ...kwargs } = request.body as Record<string, unknown>;
      samplers.setTemplate({ tenant, session: sessionOf(request), model }, name, kwargs);
      return { status: 'ok' };
    }),
    routes.post(
      'twinkle/add_adapter_to_sampler',
      'Name an adapter; its weights come with `adapter_uri`.',
      Adapter,
      ({ request }) => {
        samplers.check(model);
        return { status: 'ok', adapter_name: (request.body as Static<typeof Adapter>).adapter_name };
      },
    ),
    routes.post('twinkle/apply_patch', 'Refused: others sample from the same model.', Open, () => {
      throw new TwinkleError(
        'UNSUPPORTED_PARAMETER',
        'a patch changes the code of a model that others sample from, too',
        {
          param: 'patch_cls',
        },
      );
    }),
  ];
}
