/** Who answers a completion or a chat completion: this server, which is fast, or the engine's own, which can do more. Pure. */
import { TwinkleError } from '../../errors.js';
import type { ModelCard, SamplingDefaults } from '../../protocol/values.js';
import { type ChatRequest, planChat } from '../openai/chat-request.js';
import { type CompletionRequest, planCompletion } from '../openai/completion-request.js';

/** Routes that both can answer. */
export type SharedRoute = '/v1/completions' | '/v1/chat/completions';

/** Fields of a message that every chat template and every engine understands alike. */
const PLAIN_FIELDS: ReadonlySet<string> = new Set(['role', 'content', 'name']);

/** Whether a message means the same here as in the engine, which parses tool calls and knows how a template wants several parts. */
function isPlain(message: Readonly<Record<string, unknown>>): boolean {
  for (const field in message) if (!PLAIN_FIELDS.has(field)) return false;
  return !Array.isArray(message.content) || message.content.length === 1;
}

/** Whether this server can honour a body that keeps its schema: nothing is refused on the way to the engine's parameters. */
function isHonoured(url: SharedRoute, body: unknown, defaults: SamplingDefaults): boolean {
  try {
    if (url === '/v1/completions') {
      planCompletion(body as CompletionRequest, '', defaults);
      return true;
    }
    planChat(body as ChatRequest, '', defaults);
    return (body as ChatRequest).messages.every(isPlain);
  } catch (error) {
    if (error instanceof TwinkleError) return false;
    throw error;
  }
}

/** What the engine said of itself that decides. */
type Decisive = Pick<ModelCard, 'routes' | 'relay_chat' | 'relay_completions' | 'sampling_defaults'>;

/**
 * Whether a request is the engine's. It is when the engine has the route, and wants all that comes there or this server would refuse
 * or misread the body.
 * @param sound whether the body keeps this server's schema
 */
export function goesToEngine(url: SharedRoute, card: Decisive, body: unknown, sound: boolean): boolean {
  if (!card.routes.includes(url)) return false;
  if (!sound || (url === '/v1/completions' ? card.relay_completions : card.relay_chat)) return true;
  return !isHonoured(url, body, card.sampling_defaults);
}
