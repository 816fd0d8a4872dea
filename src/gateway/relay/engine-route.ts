/** Which model answers a request for a route of an engine's own server, and whether it has that route. */
import { TwinkleError } from '../../errors.js';
import type { Inference, ServedModel } from '../../serving/types.js';

/** `/v1/responses/{response_id}` and `/v1/responses/:id` are one route. */
const pattern = (path: string): string => path.replace(/\{[^}/]*\}|:[^/]+/g, '*');

/** Whether the engine of a loaded model answers `url`, written with parameters as fastify or FastAPI do. */
export function hasRoute({ card }: ServedModel, url: string): boolean {
  if (card === null) return false;
  if (card.routes.includes(url)) return true;
  const wanted = pattern(url);
  return wanted !== url && card.routes.some((path) => pattern(path) === wanted);
}

/** Whether a model is one that pools: its engine has routes, and not even this one, which all that generate have. */
export function cannotGenerate({ card }: ServedModel, url: string): boolean {
  return card !== null && card.routes.length > 0 && !card.routes.includes(url);
}

/** The answer for a model without that route. */
export function routeMissing({ card, names }: ServedModel, url: string): TwinkleError {
  const { engine = '', routes = [] } = card ?? {};
  const advice =
    routes.length === 0 ? 'serve the model with --engine vllm' : `it does not offer it for the model \`${names[0]}\``;
  return new TwinkleError('ROUTE_NOT_FOUND', `engine ${engine} has no ${url}; ${advice}`);
}

/**
 * The model that `name` means; without a name, the only one that has the route. Throws `MODEL_NOT_FOUND`, and `ROUTE_NOT_FOUND` for
 * a loaded model without the route. One that has never been loaded may have it: whether it takes requests is for serving to say.
 */
export function modelFor(inference: Inference, name: string | null, url: string): ServedModel {
  if (name === null || name === '') {
    const [only, another] = inference.models().filter((model) => hasRoute(model, url));
    if (only !== undefined && another === undefined) return only;
  }
  const model = inference.find(name);
  if (model.card !== null && !hasRoute(model, url)) throw routeMissing(model, url);
  return model;
}
