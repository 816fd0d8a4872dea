/** Control of all served models: what must reach every replica of one. Composition of adapters, standing orders and broadcasts. */
import { TwinkleError } from '../errors.js';
import type { ModelCard } from '../protocol/values.js';
import type { AdaptedModel } from './adapted-inference.js';
import type { ModelAdapters } from './adapters.js';
import { broadcast, type OpenReplica } from './broadcast.js';
import type { HiddenAdapters } from './hidden-adapters.js';
import type { ModelWeights } from './model-weights.js';
import type { OperatorOrders } from './operator-orders.js';
import { takesNoAdapters } from './refusals.js';
import { resolveModelName } from './resolve-name.js';
import type {
  AdapterRequest,
  Command,
  EnginePage,
  EnginePages,
  FleetControl,
  Held,
  ReplicaAnswer,
} from './types/control.js';
import type { ServedWeights, WeightUpdate } from './types/weights.js';
import type { DeviceTurn } from './types.js';

export interface ControlledModelOptions {
  readonly names: readonly string[];
  /** Of a loaded engine; null before. */
  card(): ModelCard | null;
  /** By place; null: the replica takes no requests now. */
  replicas(): readonly (OpenReplica | null)[];
  /** By place, those that are loaded: they can say how they are, also while they sleep. Default: those that take requests. */
  engines?(): readonly (OpenReplica | null)[];
  /** Do it when replicas are awake that others have sleep now and then. Default: at once. */
  inTurn?<T>(job: () => Promise<T>): Promise<T>;
  /** Why requests wait although it is ready; null: they do not. Default: they do not. */
  paused?(): string | null;
  /** Default: there are no turns. */
  turn?(): DeviceTurn;
  readonly adapters: ModelAdapters | null;
  readonly hidden: HiddenAdapters;
  readonly orders: OperatorOrders;
  readonly weights: ModelWeights;
}

/** One model, as control and {@link AdaptedModel} see it. */
export class ControlledModel implements AdaptedModel {
  constructor(readonly options: ControlledModelOptions) {}

  get names(): readonly string[] {
    return this.options.names;
  }

  get card(): ModelCard | null {
    return this.options.card();
  }

  /** Null for an engine that takes none; before the first load it may take them, and requests hear that it is not ready. */
  get adapters(): ModelAdapters | null {
    return this.card?.adapters === false ? null : this.options.adapters;
  }

  /** Those that no request can name. To be used where {@link adapters} is not null. */
  get hidden(): HiddenAdapters {
    return this.options.hidden;
  }

  get held(): Held | null {
    return this.options.orders.held;
  }

  get turn(): DeviceTurn | null {
    return this.options.turn?.() ?? null;
  }

  get weights(): ServedWeights | null {
    return this.options.weights.served;
  }
}

const METRICS: Command = { method: 'GET', path: '/metrics', query: '', body: '' };
/** A scrape may wait so long for engines that are in a long step. */
const METRICS_DEADLINE = { deadlineMs: 1_000 } as const;

export class ServedFleetControl implements FleetControl {
  constructor(readonly controlled: readonly ControlledModel[]) {}

  async loadAdapter(model: string | null, request: AdapterRequest): Promise<void> {
    await this.#adapters(model).load(request);
  }

  async unloadAdapter(model: string | null, name: string): Promise<void> {
    await this.#adapters(model).unload(name);
  }

  async operate(model: string | null, command: Command): Promise<readonly ReplicaAnswer[]> {
    const { names, options } = this.#operable(model, command.path);
    const { inTurn = (job) => job() } = options;
    const carryOut = async (replicas: readonly (OpenReplica | null)[]): Promise<readonly ReplicaAnswer[] | null> => {
      const open = replicas.filter((replica) => replica !== null);
      return open.length === 0 ? null : await options.orders.carryOut(command, open);
    };
    const answers =
      command.method === 'GET' ? await carryOut(enginesOf(options)) : await inTurn(() => carryOut(options.replicas()));
    if (answers !== null) return answers;
    throw new TwinkleError('NOT_READY', `no replica of model \`${names[0]}\` takes requests now; try again`, {
      retryAfterMs: 1000,
    });
  }

  async updateWeights(model: string | null, update: WeightUpdate): Promise<readonly ReplicaAnswer[]> {
    return await this.#operable(model, '/update_weights').options.weights.update(update);
  }

  async enginePages(): Promise<EnginePages> {
    const all = await Promise.all(this.controlled.map(pagesOf));
    return { pages: all.flatMap(({ pages }) => pages), missed: all.flatMap(({ missed }) => missed) };
  }

  #operable(name: string | null, path: string): ControlledModel {
    const model = this.#model(name);
    const { card } = model;
    if (card === null || card.routes.length > 0) return model;
    throw new TwinkleError(
      'ROUTE_NOT_FOUND',
      `engine ${card.engine} has no ${path}; serve the model with --engine vllm`,
    );
  }

  #adapters(name: string | null): ModelAdapters {
    const model = this.#model(name);
    if (model.adapters !== null) return model.adapters;
    throw takesNoAdapters('ROUTE_NOT_FOUND', model);
  }

  #model(name: string | null): ControlledModel {
    if ((name === null || name === '') && this.controlled.length > 1) {
      const known = this.controlled.map(({ names }) => names[0]).join(', ');
      throw new TwinkleError(
        'MODEL_NOT_FOUND',
        `several models are served: say which is meant by \`model\`, one of ${known}`,
        {
          param: 'model',
        },
      );
    }
    const named = this.controlled.map((model) => ({ names: model.names, model }));
    return resolveModelName(name, named).model.model;
  }
}

function enginesOf(options: ControlledModelOptions): readonly (OpenReplica | null)[] {
  return options.engines?.() ?? options.replicas();
}

async function pagesOf({ card, names, options }: ControlledModel): Promise<EnginePages> {
  const pages: EnginePage[] = [];
  const missed: { model: string; replica: string }[] = [];
  if (card === null || card.routes.length === 0) return { pages, missed };
  const model = names[0] ?? '';
  const places = enginesOf(options);
  const open = places.filter((replica) => replica !== null);
  for (const { replica, status, body } of await broadcast(open, METRICS, METRICS_DEADLINE)) {
    const index = places.findIndex((place) => place?.id === replica);
    if (status === 200) pages.push({ model, index, text: body });
    // One without such a route has none to miss.
    else if (status !== 404) missed.push({ model, replica });
  }
  return { pages, missed };
}
