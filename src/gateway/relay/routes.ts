/** The routes that only an engine's own server answers. A list of names: what is not on it is never relayed. */
import { TwinkleError } from '../../errors.js';
import type { GatewayContext } from '../context.js';
import { takeBodyText } from '../http/json-body.js';
import type { RouteTraits } from '../http/route-traits.js';
import type { RouteSpec } from '../http/routes.js';
import { ANTHROPIC_ERRORS } from './anthropic-errors.js';
import { modelFor } from './engine-route.js';
import { modelNameOf, relayRequest } from './relayed.js';

/** URL → what it does. `:id` is the id of a response. */
const ROUTES: Readonly<Record<string, string>> = {
  '/v1/responses': 'Answer with OpenAI’s Responses API.',
  '/v1/responses/:id': 'A stored response.',
  '/v1/responses/:id/cancel': 'Cancel a response that is made in the background.',
  '/v1/messages': 'Answer with Anthropic’s Messages API.',
  '/v1/messages/count_tokens': 'Tokens of a request of the Messages API.',
  '/v1/embeddings': 'Embeddings of texts.',
  '/v2/embed': 'Embeddings, as Cohere asks for them.',
  '/v1/score': 'Scores of pairs of texts.',
  '/score': 'As /v1/score.',
  '/v1/rerank': 'Documents in the order of their relevance.',
  '/v2/rerank': 'As /v1/rerank.',
  '/rerank': 'As /v1/rerank.',
  '/classify': 'Classes of texts.',
  '/pooling': 'What a pooling model makes of texts.',
  '/generative_scoring': 'Scores of texts by a generating model.',
  '/inference/v1/generate': 'Tokens in, tokens out.',
  '/v1/chat/completions/batch': 'Several conversations in one request.',
  '/v1/chat/completions/render': 'The prompt of a chat completion.',
  '/v1/completions/render': 'The prompt of a completion.',
  '/v1/messages/render': 'The prompt of a message.',
  '/v1/responses/render': 'The prompt of a response.',
  '/v1/chat/completions/derender': 'Tokens → a chat completion.',
  '/v1/completions/derender': 'Tokens → a completion.',
  '/cohere/v2/chat': 'Answer with Cohere’s Chat API.',
  '/cohere/v2/chat/render': 'The prompt of a request of Cohere’s Chat API.',
  '/v1/systemone': 'A decision between given options.',
  '/tokenizer_info': 'The tokenizer of a model.',
};
const READ: ReadonlySet<string> = new Set(['/v1/responses/:id', '/tokenizer_info']);

/** An id cannot become another path of the engine's server. */
const SOUND_ID = /^[\w-]{1,128}$/;

function pathOf(url: string, params: unknown): string {
  if (!url.includes(':id')) return url;
  const { id } = params as { id: string };
  if (SOUND_ID.test(id)) return url.replace(':id', id);
  throw new TwinkleError('INVALID_REQUEST', 'Expected an id of letters, digits, "_" and "-" in the path.');
}

/** The model that has the stored response of a path, which names no model. */
function holderOf({ inference }: GatewayContext, params: unknown): string | null {
  const { id } = (params ?? {}) as { id?: string };
  return id === undefined ? null : inference.modelOfResponse(id);
}

function traitsFor(url: string): RouteTraits {
  return { bodyText: 'optional', ...(url.startsWith('/v1/messages') ? { errors: ANTHROPIC_ERRORS } : {}) };
}

/** One route per URL of the list, whether or not a model has it: models come and go. */
export function relayRoutes(context: GatewayContext): RouteSpec[] {
  return Object.entries(ROUTES).map(([url, summary]) => ({
    methods: [READ.has(url) ? 'GET' : 'POST'],
    url,
    access: 'keyed',
    tag: 'engine',
    summary,
    traits: traitsFor(url),
    handler(request, reply) {
      const text = takeBodyText(request);
      const model = modelFor(context.inference, modelNameOf(request) ?? holderOf(context, request.params), url);
      relayRequest(context, request, reply, { model, path: pathOf(url, request.params), text });
    },
  }));
}
