/** `/v1/completions` and `/v1/chat/completions`: request → plan → a streamed or collected run, or the engine's own server. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TwinkleError } from '../../errors.js';
import type { GenerateParams, ModelCard } from '../../protocol/values.js';
import type { Inference, ServedModel } from '../../serving/types.js';
import type { GatewayContext } from '../context.js';
import { type Call, callOf } from '../http/call.js';
import { takeBodyText } from '../http/json-body.js';
import type { RouteSpec } from '../http/routes.js';
import { cannotGenerate, routeMissing } from '../relay/engine-route.js';
import { goesToEngine, type SharedRoute } from '../relay/goes-to-engine.js';
import { modelNameOf, relayRequest } from '../relay/relayed.js';
import { ChatAnswer, CompletionAnswer } from './answer-schemas.js';
import { type AnswerHead, chatAnswer, completionAnswer } from './answers.js';
import { ChatChunks, type ChunkOptions } from './chat-chunks.js';
import { ChatRequest, planChat } from './chat-request.js';
import { CollectRun } from './collect-run.js';
import { CompletionChunks } from './completion-chunks.js';
import { CompletionRequest, planCompletion } from './completion-request.js';
import type { SharedRequest } from './fields.js';
import type { RunRequest } from './run.js';
import { StreamRun } from './stream-run.js';

interface Begun {
  readonly call: Call;
  readonly head: AnswerHead;
  run(params: readonly GenerateParams[], promptOnly: boolean): RunRequest;
}

interface Asked {
  readonly context: GatewayContext;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly model: ServedModel;
  readonly card: ModelCard;
}

function begin({ context, request, reply, model, card }: Asked, kind: string): Begun {
  const call = callOf(request);
  return {
    call,
    head: {
      id: `${kind}-${call.requestId}`,
      created: Math.floor(Date.now() / 1e3),
      model: model.names[0] ?? '',
      fingerprint: card.system_fingerprint,
    },
    run: (params, promptOnly) => ({ context, call, reply, model, params, promptOnly }),
  };
}

function chunkOptions(head: AnswerHead, body: SharedRequest, n: number, logprobs: number | null): ChunkOptions {
  const { stream_options: options } = body;
  return {
    ...head,
    n,
    logprobs,
    includeUsage: options?.include_usage ?? false,
    continuousUsage: (options?.include_usage ?? false) && (options?.continuous_usage_stats ?? false),
    tokenIds: body.return_token_ids ?? false,
  };
}

function complete(asked: Asked): void {
  const body = asked.request.body as CompletionRequest;
  const { call, head, run } = begin(asked, 'cmpl');
  const plan = planCompletion(body, call.requestId, asked.card.sampling_defaults);
  const { echo, generations, logprobs, n, promptOnly } = plan;
  const tokenIds = body.return_token_ids ?? false;
  if (body.stream === true) {
    const options = { ...chunkOptions(head, body, n, logprobs), prompts: generations.length, echo };
    new StreamRun(run(generations, promptOnly), new CompletionChunks(options)).start();
    return;
  }
  new CollectRun(run(generations, promptOnly), (prompts, usage) =>
    completionAnswer(head, plan, tokenIds, prompts, usage),
  ).start();
}

function chat(asked: Asked): void {
  const body = asked.request.body as ChatRequest;
  const { call, head, run } = begin(asked, 'chatcmpl');
  const plan = planChat(body, call.requestId, asked.card.sampling_defaults);
  const { generation, logprobs, n } = plan;
  if (body.stream === true) {
    new StreamRun(run([generation], false), new ChatChunks(chunkOptions(head, body, n, logprobs))).start();
    return;
  }
  const tokenIds = body.return_token_ids ?? false;
  new CollectRun(run([generation], false), (prompts, usage) =>
    chatAnswer(head, plan, tokenIds, prompts, usage),
  ).start();
}

/** The model by that name, or null when there is none. */
function found(inference: Inference, name: string | null): ServedModel | null {
  try {
    return inference.find(name);
  } catch (error) {
    if (error instanceof TwinkleError && error.code === 'MODEL_NOT_FOUND') return null;
    throw error;
  }
}

/** The handler of a route that both this server and an engine's may answer: what is for the engine, our schema does not judge. */
function answers(context: GatewayContext, url: SharedRoute, answer: (asked: Asked) => void): RouteSpec['handler'] {
  const { inference } = context;
  const answerAs = (asked: Asked, text: string): void => {
    const { card, model, reply, request } = asked;
    const refusal = request.validationError;
    if (text !== '' && goesToEngine(url, card, request.body, refusal === undefined)) {
      relayRequest(context, request, reply, { model, path: url, text });
      return;
    }
    if (cannotGenerate(model, url)) throw routeMissing(model, url);
    if (refusal !== undefined) throw refusal;
    answer(asked);
  };
  return (request, reply) => {
    const text = takeBodyText(request);
    const name = modelNameOf(request);
    const model = request.validationError === undefined ? inference.find(name) : found(inference, name);
    if (model === null) throw request.validationError;
    if (model.card !== null) {
      answerAs({ context, request, reply, model, card: model.card }, text);
      return;
    }
    // Who answers, and how, is on the card.
    inference
      .loaded(name)
      .then((card) => answerAs({ context, request, reply, model: inference.find(name), card }, text))
      .catch((error) => reply.send(error));
  };
}

/** The two routes that generate. */
export function generationRoutes(context: GatewayContext): RouteSpec[] {
  const shared = {
    methods: ['POST'],
    access: 'keyed',
    tag: 'openai',
    traits: { bodyText: 'kept' },
    judgesBody: true,
  } as const;
  return [
    {
      ...shared,
      url: '/v1/completions',
      summary: 'Continue one or several prompts.',
      body: CompletionRequest,
      response: CompletionAnswer,
      handler: answers(context, '/v1/completions', complete),
    },
    {
      ...shared,
      url: '/v1/chat/completions',
      summary: 'Answer a conversation.',
      body: ChatRequest,
      response: ChatAnswer,
      handler: answers(context, '/v1/chat/completions', chat),
    },
  ];
}
