/** `status`: servers with their models and ranks, standalone heads and agents in a line, and who does not answer. Pure. */
import { formatBytes } from '../../config/quantity.js';
import type {
  ClusterAgentStatus,
  ClusterHeadStatus,
  DeviceHolding,
  HeadStatus,
  InstanceFile,
  TrainerStatus,
} from '../../runtime/types.js';
import type { ScaleStatus, ServedModel } from '../../serving/types.js';
import type { AnyStatus, Silent } from '../admin.js';
import type { Paint } from '../render/style.js';
import { formatDuration, table } from '../render/table.js';
import type { Picture } from './picture.js';

/** An instance and its answer. */
export interface Answered {
  readonly file: InstanceFile;
  readonly answer: AnyStatus | Silent;
}

/** Fields that change by themselves: alone they are no news. */
const PASSING: ReadonlySet<string> = new Set(['stats', 'elapsedMs']);

/** One line an object, as `--json` prints them. */
export function drawServersJson(all: readonly Answered[]): Picture {
  const documents = all.map(({ file, answer }) => ('silent' in answer ? { ...facts(file), ...answer } : answer));
  return {
    text: () => documents.map((document) => `${JSON.stringify(document)}\n`).join(''),
    mark: () => JSON.stringify(documents, (key, value: unknown) => (PASSING.has(key) ? null : value)),
    notes: [],
  };
}

/** For people. @param nowMs unix ms, for how long they run */
export function drawServers(all: readonly Answered[], home: string, nowMs: number, paint: Paint): Picture {
  const text = (since: (file: InstanceFile) => string, how: Paint): string =>
    all.length === 0
      ? `nothing runs in ${home}\n`
      : all.map(({ file, answer }) => describe(file, answer, since(file), how)).join('');
  return {
    text: () => text(({ startedAt }) => formatDuration(nowMs - startedAt), paint),
    mark: () =>
      text(
        () => '',
        (_, word) => word,
      ),
    notes: [],
  };
}

function facts({ kind, instance, pid, startedAt, url }: InstanceFile): Record<string, unknown> {
  return { kind, instance, pid, startedAt, url, phase: null };
}

function describe(file: InstanceFile, answer: Answered['answer'], since: string, paint: Paint): string {
  const process = `pid ${file.pid}  since ${since}`;
  if ('silent' in answer) {
    return `${file.instance}  ${process}  ${paint('yellow', `does not answer: ${answer.silent}`)}\n`;
  }
  const name = paint('bold', answer.instance);
  if (answer.kind === 'head') {
    const { nodes, groups, work } = answer;
    const pending = groups.pending === 0 ? '0 pending' : paint('yellow', `${groups.pending} pending`);
    return (
      `${name}  head  ${state(answer.phase, paint)}  ${answer.tcp ?? answer.address}  ${process}  version ${answer.version}  ` +
      `nodes ${nodes}  groups ${groups.created} created, ${pending}\n${work === undefined ? '' : indented(workLine(work))}`
    );
  }
  if (answer.kind === 'agent') return `${name}  agent  ${agentLine(answer, process, paint)}\n`;
  const line = `${name}  ${state(answer.phase, paint)}  ${answer.url ?? 'without HTTP'}  ${process}  version ${answer.version}${membership(answer, paint)}\n`;
  const rows = answer.models.flatMap((model) => [
    ...modelRows(model, paint),
    ...(answer.training ?? []).flatMap((ranks) =>
      ranks.model === model.names[0] ? trainerRows(ranks, model, paint) : [],
    ),
  ]);
  if (rows.length === 0) return line;
  const ranks = table(['MODEL', 'REPLICA', 'STATE', 'RANK', 'PID', 'DEVICES', 'IN FLIGHT', 'RESTARTS', 'NOTE'], rows);
  return line + indented(ranks) + indented(holders(answer.devices ?? [], paint));
}

function agentLine(
  { phase, node, address, version, reason }: ClusterAgentStatus,
  process: string,
  paint: Paint,
): string {
  const away = reason === null ? '' : `  ${paint('yellow', `not connected: ${reason}`)}`;
  return `${state(phase, paint)}  node ${node.id} (${node.address}) of the head at ${address}  ${process}  version ${version}${away}`;
}

const indented = (text: string): string => text.replace(/^(?=.)/gm, '  ');

/** `actors 3, tasks 2 workers, objects 14: 1.2 GiB of 7.1 GiB, 0.3 GiB in 5 spilled to disk, 2.0 GiB on other nodes`. */
function workLine({ actors, leases, store }: NonNullable<ClusterHeadStatus['work']>): string {
  const { objects, usedBytes, capacityBytes, spilledBytes, spilledObjects, awayBytes } = store;
  const spilled = spilledBytes === 0 ? '' : `, ${formatBytes(spilledBytes)} in ${spilledObjects} spilled to disk`;
  const away = awayBytes > 0 ? `, ${formatBytes(awayBytes)} on other nodes` : ''; // heads of before do not say
  const room = `${formatBytes(usedBytes)} of ${formatBytes(capacityBytes)}${spilled}${away}`;
  return `actors ${actors}, tasks ${leases} ${leases === 1 ? 'worker' : 'workers'}, objects ${objects}: ${room}\n`;
}

/** Devices by who computes on them, once somebody trains: before, the ranks say it all. */
function holders(devices: readonly DeviceHolding[], paint: Paint): string {
  if (devices.every(({ training }) => training.length === 0)) return '';
  const rows = devices.map(({ device, replicas, training, turn }) => [
    device,
    replicas.map(({ rank, replica }) => `${replica} rank ${rank}`).join(', ') || '-',
    training.map(({ model, rank }) => `${model} rank ${rank}`).join(', ') || '-',
    turn === undefined ? '-' : paint(turn === 'changing' ? 'yellow' : 'green', turn),
  ]);
  return table(['DEVICE', 'SAMPLES', 'TRAINS', 'TURN'], rows);
}

/** Where its devices come from, when that is not itself. Servers of before heads say nothing. */
function membership({ cluster }: Partial<HeadStatus>, paint: Paint): string {
  if (cluster === undefined || cluster.kind === 'own') return '';
  return cluster.connected ? '  member of the head' : `  ${paint('yellow', 'its head is away')}`;
}

function modelRows(model: ServedModel, paint: Paint): string[][] {
  const name = model.names.join(', ');
  const { progress, reason, scale } = model;
  const does = reason ?? (progress === null ? '' : `${progress.phase} ${progress.detail}`.trim());
  const note = [scale === undefined ? '' : scaleNote(scale, model.replicas), turnNote(model), weightsNote(model), does]
    .filter((part) => part !== '')
    .join('; ');
  if (model.replicas.length === 0) return [[name, '-', state(model.state, paint), '-', '-', '-', '-', '-', note]];
  return model.replicas.flatMap((replica) =>
    replica.ranks.map((rank) => [
      name,
      replica.id,
      state(replica.state, paint),
      String(rank.rank),
      rank.pid === null ? '-' : String(rank.pid),
      rank.devices.join(',') || '-',
      String(replica.inFlight),
      String(replica.restarts),
      note,
    ]),
  );
}

/** The ranks that train it, beside the replicas that sample. */
function trainerRows(ranks: TrainerStatus, { names }: ServedModel, paint: Paint): string[][] {
  const { devices, pids, reason, restarts, runs } = ranks;
  const holds = runs === 0 ? 'no run' : `${runs} ${runs === 1 ? 'run' : 'runs'}`;
  return pids.map((pid, rank) => [
    names.join(', '),
    'training',
    state(ranks.state, paint),
    String(rank),
    pid === null ? '-' : String(pid),
    devices[rank] ?? '-',
    '-',
    String(restarts),
    reason === null ? holds : `${holds}; ${reason}`,
  ]);
}

/** What its replicas do not do now, and why. */
function turnNote({ turn }: ServedModel): string {
  if (turn === undefined || turn.holder === 'sampling') return '';
  return turn.holder === 'training' ? 'sleeps while it is trained' : 'changes between sampling and training';
}

/** `weights of /checkpoints/7 since 2026-11-22T20:00:00.000Z`. */
function weightsNote({ weights }: ServedModel): string {
  return weights === undefined ? '' : `weights of ${weights.source} since ${new Date(weights.since).toISOString()}`;
}

/** `1 of 2 replicas ready, from 0 to 4`. */
function scaleNote({ wanted, min, max }: ScaleStatus, replicas: ServedModel['replicas']): string {
  const ready = replicas.filter((replica) => replica.state === 'ready').length;
  return `${ready} of ${wanted} ${wanted === 1 ? 'replica' : 'replicas'} ready, from ${min} to ${max}`;
}

function state(word: string, paint: Paint): string {
  if (word === 'ready') return paint('green', word);
  return paint(word === 'failed' || word === 'stopped' ? 'red' : 'yellow', word);
}
