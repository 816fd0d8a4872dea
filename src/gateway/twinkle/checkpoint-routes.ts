/** Runs and what was saved of them, as `TwinkleClient` lists them. */
import { type Static, Type } from '../../protocol/type.js';
import { type CheckpointPath, KINDS, type NamedKind, pathText, readPath } from '../../training/checkpoint-path.js';
import type { Checkpoint } from '../../training/types/checkpoints.js';
import type { RouteSpec } from '../http/routes.js';
import type { TinkerCall, TinkerRoutes } from '../tinker/route.js';
import { shapeOf } from '../tinker/run-shape.js';
import { iso, page, runFields, type SavedRun, savedOf, savedRun, savedRuns } from '../tinker/saved-runs.js';

const WeightsInfo = Type.Object({ twinkle_path: Type.String() }, { additionalProperties: false });

/** The same checkpoint has both names. */
const SCHEME = 'twinkle://';
const OTHER_SCHEME = 'tinker://';

const twinklePath = (path: CheckpointPath): string => pathText(path).replace(OTHER_SCHEME, SCHEME);

function checkpointOf({ bytes, path, public: isPublic, run, time, userMetadata }: Checkpoint): object {
  return {
    checkpoint_id: `${path.kind}/${path.name}`,
    checkpoint_type: KINDS[path.kind as NamedKind],
    time: iso(time),
    size_bytes: bytes,
    public: isPublic,
    twinkle_path: twinklePath(path),
    base_model: run.baseModel,
    ...shapeOf(run.rank),
    train_unembed: run.unembed,
    train_mlp: run.mlp,
    train_attn: run.attn,
    user_metadata: userMetadata,
  };
}

const runOf = (saved: SavedRun): object => ({ ...runFields(saved, checkpointOf), save_dir: null });

const paramsOf = ({ request }: TinkerCall) => request.params as { id: string; kind: string; name: string };

function showRun(call: TinkerCall): object {
  return runOf(savedRun(call, paramsOf(call).id));
}

function listCheckpoints(call: TinkerCall): object {
  const all = savedOf(call, paramsOf(call).id);
  if (all.length === 0) showRun(call);
  const { cursor, items } = page(call, all);
  return { checkpoints: items.map(checkpointOf), cursor };
}

/** @throws `INVALID_REQUEST`, `CHECKPOINT_NOT_FOUND` for a kind that there is none of */
function pathOf(call: TinkerCall): CheckpointPath {
  const { id, kind, name } = paramsOf(call);
  return readPath(`${OTHER_SCHEME}${id}/${kind}/${name}`, 'checkpoint');
}

/** @throws as {@link pathOf} */
function readTwinklePath(text: string, param: string): CheckpointPath {
  return readPath(text.startsWith(SCHEME) ? `${OTHER_SCHEME}${text.slice(SCHEME.length)}` : text, param);
}

function showWeights({ request, tenant, training }: TinkerCall): object {
  const { twinkle_path: text } = request.body as Static<typeof WeightsInfo>;
  const { path, run } = training.checkpoints.readable(tenant, readTwinklePath(text, 'twinkle_path'));
  return { training_run_id: path.run, base_model: run.baseModel, model_owner: 'me', ...shapeOf(run.rank) };
}

/** Where it lies on our disk is nobody's business: its name goes wherever a path does. */
function showPath(call: TinkerCall): object {
  const { path } = call.training.checkpoints.readable(call.tenant, pathOf(call));
  return { path: twinklePath(path), twinkle_path: twinklePath(path) };
}

export function checkpointRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.get('training_runs', "The key's runs.", (call) => {
      const { cursor, items } = page(call, savedRuns(call));
      return { training_runs: items.map(runOf), cursor };
    }),
    routes.get('training_runs/:id', 'A run.', showRun),
    routes.get('training_runs/:id/checkpoints', 'What was saved of a run.', listCheckpoints),
    routes.bodiless(['DELETE'], 'training_runs/:id/checkpoints/:kind/:name', 'Remove a checkpoint.', async (call) => {
      const path = pathOf(call);
      await call.training.checkpoints.remove(call.tenant, path);
      return { success: true, message: `Checkpoint ${path.kind}/${path.name} is deleted.` };
    }),
    routes.post('weights_info', 'What a checkpoint is of.', WeightsInfo, showWeights),
    routes.get('checkpoint_path/:id/:kind/:name', 'What a checkpoint is called.', showPath),
  ];
}
