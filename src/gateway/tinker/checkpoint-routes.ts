/** Runs and checkpoints as the REST client lists and keeps them. */
import { type Static, Type } from '../../protocol/type.js';
import { type CheckpointPath, KINDS, pathText, readPath } from '../../training/checkpoint-path.js';
import type { Checkpoint, RunInfo } from '../../training/types.js';
import type { RouteSpec } from '../http/routes.js';
import { countOf, type TinkerCall, type TinkerRoutes } from './route.js';
import { Ttl } from './saving-routes.js';

const WeightsInfo = Type.Object({ tinker_path: Type.String() });
const KeepFor = Type.Object({ ttl_seconds: Ttl });

const iso = (ms: number): string => new Date(ms).toISOString();

function checkpointOf({ bytes, expires, path, public: isPublic, time, userMetadata }: Checkpoint): object {
  return {
    checkpoint_id: `${path.kind}/${path.name}`,
    checkpoint_type: KINDS[path.kind],
    time: iso(time),
    tinker_path: pathText(path),
    size_bytes: bytes,
    public: isPublic,
    user_metadata: userMetadata,
    expires_at: expires === null ? null : iso(expires),
  };
}

type ListedRun = Pick<RunInfo, 'id' | 'baseModel' | 'rank' | 'corrupted' | 'lastRequest' | 'userMetadata'>;

/** Those of living sessions, and those of which something was saved. */
function runsOf({ tenant, training }: TinkerCall): { run: ListedRun; last: Checkpoint | null }[] {
  const saved = new Map<string, Checkpoint>();
  for (const checkpoint of training.checkpoints(tenant)) saved.set(checkpoint.path.run, checkpoint);
  const living = training.runs(tenant);
  const known = new Set(living.map(({ id }) => id));
  const ended = [...saved.values()].filter(({ path }) => !known.has(path.run));
  return [
    ...ended.map(({ path, run, runMetadata, time }) => ({
      id: path.run,
      baseModel: run.baseModel,
      rank: run.rank,
      corrupted: false,
      lastRequest: time,
      userMetadata: runMetadata,
    })),
    ...living,
  ].map((run) => ({ run, last: saved.get(run.id) ?? null }));
}

function runOf({ last, run }: { run: ListedRun; last: Checkpoint | null }): object {
  return {
    training_run_id: run.id,
    base_model: run.baseModel,
    model_owner: 'me',
    is_lora: true,
    corrupted: run.corrupted,
    lora_rank: run.rank,
    last_request_time: iso(run.lastRequest),
    last_checkpoint: last === null ? null : checkpointOf(last),
    last_sampler_checkpoint: null,
    user_metadata: run.userMetadata,
  };
}

/** A page of a list, and where it is in it. */
function page<T>({ request }: TinkerCall, all: readonly T[]) {
  const limit = countOf(request, 'limit', 20);
  const offset = countOf(request, 'offset', 0);
  return { items: all.slice(offset, offset + limit), cursor: { offset, limit, total_count: all.length } };
}

function listRuns(call: TinkerCall): object {
  const { cursor, items } = page(call, runsOf(call));
  return { training_runs: items.map(runOf), cursor };
}

function showRun(call: TinkerCall): object {
  const id = paramsOf(call).id;
  const found = runsOf(call).find(({ run }) => run.id === id);
  // Says that there is none.
  return runOf(found ?? { run: call.training.run(call.tenant, id), last: null });
}

function listCheckpoints(call: TinkerCall): object {
  const { id } = paramsOf(call);
  const all = call.training.checkpoints(call.tenant).filter(({ path }) => path.run === id);
  if (all.length === 0) showRun(call);
  return { checkpoints: all.map(checkpointOf) };
}

function listAll(call: TinkerCall): object {
  const { cursor, items } = page(call, call.training.checkpoints(call.tenant));
  return { checkpoints: items.map(checkpointOf), cursor };
}

const paramsOf = ({ request }: TinkerCall) => request.params as { id: string; kind: string; name: string };

/** @throws `INVALID_REQUEST`, `CHECKPOINT_NOT_FOUND` */
function pathOf(call: TinkerCall): CheckpointPath {
  const { id, kind, name } = paramsOf(call);
  return readPath(`tinker://${id}/${kind}/${name}`, 'checkpoint');
}

function showWeights({ request, tenant, training }: TinkerCall): object {
  const { run } = training.checkpoint(
    tenant,
    readPath((request.body as Static<typeof WeightsInfo>).tinker_path, 'tinker_path'),
  );
  return {
    base_model: run.baseModel,
    is_lora: true,
    lora_rank: run.rank,
    optimizer_config: { type: 'adamw' },
    train_unembed: run.unembed,
    train_mlp: run.mlp,
    train_attn: run.attn,
  };
}

export function checkpointRoutes(routes: TinkerRoutes): RouteSpec[] {
  const one = 'training_runs/:id/checkpoints/:kind/:name';
  return [
    routes.get('training_runs', "The key's runs.", listRuns),
    routes.get('training_runs/:id', 'A run.', showRun),
    routes.get('training_runs/:id/checkpoints', 'What was saved of a run.', listCheckpoints),
    routes.get('checkpoints', "The key's checkpoints.", listAll),
    routes.post('weights_info', 'What a checkpoint is of.', WeightsInfo, showWeights),
    routes.bodiless(['DELETE'], one, 'Remove a checkpoint.', (call) => {
      call.training.removeCheckpoint(call.tenant, pathOf(call));
      return {};
    }),
    routes.bodiless(
      ['POST', 'DELETE'],
      `${one}/publish`,
      'Let every key read a checkpoint, or its own alone.',
      (call) => {
        call.training.publishCheckpoint(call.tenant, pathOf(call), call.request.method === 'POST');
        return {};
      },
    ),
    routes.put(`${one}/ttl`, 'How long a checkpoint is kept from now on.', KeepFor, (call) => {
      const { ttl_seconds } = call.request.body as Static<typeof KeepFor>;
      call.training.keepCheckpoint(call.tenant, pathOf(call), ttl_seconds ?? null);
      return {};
    }),
  ];
}
