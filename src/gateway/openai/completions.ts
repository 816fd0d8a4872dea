/** `/v1/completions` and `/v1/chat/completions`: request → plan → a streamed or collected run. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GenerateParams } from '../../protocol/values.js';
import type { GatewayContext } from '../context.js';
import { type Call, callOf } from '../http/call.js';
import type { RouteSpec } from '../http/routes.js';
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

function begin(context: GatewayContext, request: FastifyRequest, reply: FastifyReply, kind: string): Begun {
  const call = callOf(request);
  const model = context.inference.find((request.body as SharedRequest).model ?? null);
  return {
    call,
    head: { id: `${kind}-${call.requestId}`, created: Math.floor(Date.now() / 1e3), model: model.names[0] ?? '' },
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

function complete(context: GatewayContext, request: FastifyRequest, reply: FastifyReply): void {
  const body = request.body as CompletionRequest;
  const { call, head, run } = begin(context, request, reply, 'cmpl');
  const plan = planCompletion(body, call.requestId);
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

function chat(context: GatewayContext, request: FastifyRequest, reply: FastifyReply): void {
  const body = request.body as ChatRequest;
  const { call, head, run } = begin(context, request, reply, 'chatcmpl');
  const plan = planChat(body, call.requestId);
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

/** The two routes that generate. */
export function generationRoutes(context: GatewayContext): RouteSpec[] {
  return [
    {
      methods: ['POST'],
      url: '/v1/completions',
      access: 'keyed',
      tag: 'openai',
      summary: 'Continue one or several prompts.',
      body: CompletionRequest,
      response: CompletionAnswer,
      handler: (request, reply) => complete(context, request, reply),
    },
    {
      methods: ['POST'],
      url: '/v1/chat/completions',
      access: 'keyed',
      tag: 'openai',
      summary: 'Answer a conversation.',
      body: ChatRequest,
      response: ChatAnswer,
      handler: (request, reply) => chat(context, request, reply),
    },
  ];
}
