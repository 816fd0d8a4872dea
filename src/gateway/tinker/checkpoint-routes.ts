/** Runs and checkpoints as the REST client lists and keeps them. */

import { createHash, randomUUID } from 'node:crypto';
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import { type CheckpointPath, KINDS, type NamedKind, pathText, readPath } from '../../training/checkpoint-path.js';
import type { Checkpoint } from '../../training/types/checkpoints.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, optional, Request, SeqId } from './fields.js';
import { readBy } from './reader.js';
import { checkScope, type TinkerCall, type TinkerRoutes } from './route.js';
import { shapeOf } from './run-shape.js';
import { iso, page, runFields, type SavedRun, savedOf, savedRun, savedRuns } from './saved-runs.js';
import { Ttl } from './saving-routes.js';

const WeightsInfo = Type.Object({ tinker_path: Type.String() });
const CopyWeights = Request({
  source_path: Type.String(),
  session_id: optional(Id),
  model_seq_id: optional(SeqId),
  /** The SDK insists on one; all projects of a key are one here. */
  destination_project_id: optional(Type.String()),
  ttl_seconds: Ttl,
  weights_access_token: optional(Type.String()),
});
const KeepFor = Type.Object({ ttl_seconds: Ttl });

function checkpointOf({ bytes, expires, path, public: isPublic, time, userMetadata }: Checkpoint): object {
  return {
    checkpoint_id: `${path.kind}/${path.name}`,
    checkpoint_type: KINDS[path.kind as NamedKind],
    time: iso(time),
    tinker_path: pathText(path),
    size_bytes: bytes,
    public: isPublic,
    user_metadata: userMetadata,
    expires_at: expires === null ? null : iso(expires),
  };
}

const runOf = (saved: SavedRun): object => runFields(saved, checkpointOf);

function listRuns(call: TinkerCall): object {
  checkScope(call.request);
  const { cursor, items } = page(call, savedRuns(call));
  return { training_runs: items.map(runOf), cursor };
}

function showRun(call: TinkerCall): object {
  checkScope(call.request);
  return runOf(savedRun(call, paramsOf(call).id));
}

function listCheckpoints(call: TinkerCall): object {
  const all = savedOf(call, paramsOf(call).id);
  if (all.length === 0) showRun(call);
  return { checkpoints: all.map(checkpointOf) };
}

function listAll(call: TinkerCall): object {
  const { cursor, items } = page(call, call.training.checkpoints.of(call.tenant));
  return { checkpoints: items.map(checkpointOf), cursor };
}

const paramsOf = ({ request }: TinkerCall) => request.params as { id: string; kind: string; name: string };

/** @throws `INVALID_REQUEST` */
export function pathOf(call: TinkerCall): CheckpointPath {
  const { id, kind, name } = paramsOf(call);
  return readPath(`tinker://${id}/${kind}/${name}`, 'checkpoint');
}

function showWeights({ request, tenant, training }: TinkerCall): object {
  const { run } = training.checkpoints.readable(
    tenant,
    readPath((request.body as Static<typeof WeightsInfo>).tinker_path, 'tinker_path'),
  );
  return {
    base_model: run.baseModel,
    ...shapeOf(run.rank),
    optimizer_config: { type: 'adamw' },
    train_unembed: run.unembed,
    train_mlp: run.mlp,
    train_attn: run.attn,
  };
}

/** A run to hold a copy: that of a session's number, or one that the same request sent again finds again. */
function copiedTo({ request, tenant }: TinkerCall, body: Static<typeof CopyWeights>): string {
  const { model_seq_id: seqId, session_id: session } = body;
  if ((session == null) !== (seqId == null)) {
    throw new TwinkleError('INVALID_REQUEST', 'expected `session_id` and `model_seq_id` together', {
      param: 'model_seq_id',
    });
  }
  if (session != null) return `${session}:train:${seqId}`;
  const once = request.headers['x-idempotency-key'];
  if (typeof once !== 'string') return `${randomUUID()}:train:0`;
  const hex = createHash('sha256').update(`${tenant} ${once}`).digest('hex');
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)];
  return `${uuid.join('-')}:train:0`;
}

async function copy(call: TinkerCall): Promise<object> {
  const { request, tenant, training } = call;
  const body = request.body as Static<typeof CopyWeights>;
  const shown = request.headers['x-tinker-weights-access-token'];
  const token = typeof shown === 'string' ? shown : body.weights_access_token;
  const run = copiedTo(call, body);
  // Only of a living session of the caller's own.
  if (body.session_id != null) training.session(tenant, body.session_id);
  if (training.runs(tenant).some(({ id }) => id === run)) {
    throw new TwinkleError('INVALID_REQUEST', `run \`${run}\` exists: take another number`, { param: 'model_seq_id' });
  }
  const source = readBy(call, body.source_path, token);
  const { path } = await training.checkpoints.copy(tenant, { ...source, run, ttlSeconds: body.ttl_seconds ?? null });
  return { tinker_path: pathText(path) };
}

export function checkpointRoutes(routes: TinkerRoutes): RouteSpec[] {
  const one = 'training_runs/:id/checkpoints/:kind/:name';
  return [
    routes.get('training_runs', "The key's runs.", listRuns),
    routes.get('training_runs/:id', 'A run.', showRun),
    routes.get('training_runs/:id/checkpoints', 'What was saved of a run.', listCheckpoints),
    routes.get('checkpoints', "The key's checkpoints.", listAll),
    routes.post('weights_info', 'What a checkpoint is of.', WeightsInfo, showWeights),
    routes.post('copy_weights', 'A checkpoint once more, as of another run.', CopyWeights, copy),
    routes.bodiless(['DELETE'], one, 'Remove a checkpoint.', async (call) => {
      await call.training.checkpoints.remove(call.tenant, pathOf(call));
      return {};
    }),
    routes.bodiless(
      ['POST', 'DELETE'],
      `${one}/publish`,
      'Let every key read a checkpoint, or its own alone.',
      async (call) => {
        await call.training.checkpoints.publish(call.tenant, pathOf(call), call.request.method === 'POST');
        return {};
      },
    ),
    routes.put(`${one}/ttl`, 'How long a checkpoint is kept from now on.', KeepFor, async (call) => {
      const { ttl_seconds } = call.request.body as Static<typeof KeepFor>;
      await call.training.checkpoints.keepFor(call.tenant, pathOf(call), ttl_seconds ?? null);
      return {};
    }),
  ];
}
