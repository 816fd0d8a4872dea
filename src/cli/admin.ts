/** Asks a running process over its admin socket, and makes sure that the answer is what it should be. Never throws: who is silent has a reason. */
import { request } from 'node:http';
import type { ClusterSnapshot } from '../cluster/api.js';
import type {
  ClusterAgentStatus,
  ClusterHeadStatus,
  HeadStatus,
  InstanceFile,
  ListedActor,
  ListedObject,
  ListedTasks,
  RunDetail,
  RunStatus,
} from '../runtime/types.js';

/** What is asked, how long it may be silent, and how long an answer may be. */
interface Question {
  readonly path: string;
  readonly timeoutMs: number;
  readonly limitBytes: number;
}

const STATUS: Question = { path: '/status', timeoutMs: 3000, limitBytes: 4 * 1024 * 1024 };
/** 10,000 nodes and 50,000 groups are 36 MB, which take a second to write down. */
const CLUSTER: Question = { path: '/cluster', timeoutMs: 5000, limitBytes: 256 * 1024 * 1024 };

/** 1,000 runs are half a megabyte. */
const RUNS: Question = { path: '/runs', timeoutMs: 3000, limitBytes: 64 * 1024 * 1024 };

/** A million objects are 140 MB. */
const WORK: Question = { path: '/work', timeoutMs: 5000, limitBytes: 256 * 1024 * 1024 };

/** What a head tells of its actors, its tasks or its objects. */
export interface WorkDocuments {
  readonly actors: { readonly actors: readonly ListedActor[] };
  readonly tasks: ListedTasks;
  readonly objects: { readonly objects: readonly ListedObject[] };
}

/** Why an instance gave no answer; continues "it …" or stands alone. */
export interface Silent {
  readonly silent: string;
}

/** The state of a server, a standalone head or an agent. */
export type AnyStatus = HeadStatus | ClusterHeadStatus | ClusterAgentStatus;

/** The state of an instance, or why it does not answer. */
export async function askStatus(file: InstanceFile): Promise<AnyStatus | Silent> {
  const reply = await get(file.adminSocket, STATUS);
  if ('silent' in reply) return reply;
  if (reply.code !== 200) return { silent: `it answered ${reply.code}` };
  const { document } = reply;
  // Servers that were started before there were heads name no kind.
  const kind = document.kind === 'head' || document.kind === 'agent' ? document.kind : 'serve';
  if (kind === 'serve' && !Array.isArray(document.models)) return { silent: 'its answer lists no models' };
  return { ...document, kind } as AnyStatus;
}

/** An agent knows its own box only. */
function askItsHead({ address }: InstanceFile): Silent {
  return { silent: `it is an agent of the head at ${address}: ask on that box` };
}

/** The cluster of a server or of a standalone head, or why it tells none. */
export async function askCluster(file: InstanceFile): Promise<ClusterSnapshot | Silent> {
  if (file.kind === 'agent') return askItsHead(file);
  const reply = await get(file.adminSocket, CLUSTER);
  if ('silent' in reply) return reply;
  if (reply.code === 404) return { silent: 'it offers no cluster: it runs an older version, or without one' };
  if (reply.code !== 200) return { silent: `it answered ${reply.code}${errorMessage(reply.document)}` };
  const { cluster, nodes, groups } = reply.document;
  if (typeof cluster !== 'string' || !Array.isArray(nodes) || !Array.isArray(groups))
    return { silent: 'its answer is no cluster: it runs another version' };
  return reply.document as unknown as ClusterSnapshot;
}

/** The runs that a server trains, or why it tells none. */
export async function askRuns(file: InstanceFile): Promise<{ readonly runs: readonly RunStatus[] } | Silent> {
  // It trains nothing.
  if (file.kind !== 'serve') return { runs: [] };
  const reply = await get(file.adminSocket, RUNS);
  if ('silent' in reply) return reply;
  if (reply.code === 404) return { silent: 'it tells of no runs: it runs an older version' };
  const { runs } = reply.document;
  if (reply.code !== 200 || !Array.isArray(runs))
    return { silent: `it answered ${reply.code}${errorMessage(reply.document)}` };
  return { runs };
}

/** A run with its curve; null: it has ended. */
export async function askRun(file: InstanceFile, id: string): Promise<RunDetail | Silent | null> {
  const reply = await get(file.adminSocket, { ...RUNS, path: `/runs/${encodeURIComponent(id)}` });
  if ('silent' in reply) return reply;
  if (reply.code === 404) return null;
  if (reply.code !== 200) return { silent: `it answered ${reply.code}${errorMessage(reply.document)}` };
  return reply.document as unknown as RunDetail;
}

/** The actors, tasks or objects of a head, or why it tells none; `work` is null for a server, which has none. */
export async function askWork<Part extends keyof WorkDocuments>(
  file: InstanceFile,
  part: Part,
): Promise<{ readonly work: WorkDocuments[Part] | null } | Silent> {
  if (file.kind === 'agent') return askItsHead(file);
  if (file.kind !== 'head') return { work: null };
  const reply = await get(file.adminSocket, { ...WORK, path: `${WORK.path}/${part}` });
  if ('silent' in reply) return reply;
  if (reply.code === 404) return { silent: `it tells of no ${part}: it offers no devices, or runs an older version` };
  if (reply.code !== 200 || !Array.isArray(reply.document[part]))
    return { silent: `it answered ${reply.code}${errorMessage(reply.document)}` };
  return { work: reply.document as unknown as WorkDocuments[Part] };
}

interface Reply {
  readonly code: number;
  readonly document: Readonly<Record<string, unknown>>;
}

function get(socketPath: string, { path, timeoutMs, limitBytes }: Question): Promise<Reply | Silent> {
  return new Promise((resolve) => {
    const silent = (why: string): void => resolve({ silent: why });
    const ask = request({ socketPath, path, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > limitBytes) ask.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => {
        try {
          const document: unknown = JSON.parse(Buffer.concat(chunks).toString());
          if (typeof document !== 'object' || document === null) silent('its answer is no object');
          else resolve({ code: response.statusCode ?? 0, document: document as Reply['document'] });
        } catch {
          silent('its answer is no JSON');
        }
      });
      response.on('error', (error) => silent(error.message));
    });
    ask.on('timeout', () => ask.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    ask.on('error', (error) => silent(error.message));
    ask.end();
  });
}

/** `: what it said`, of an OpenAI error body; empty when it said nothing. */
function errorMessage(document: Reply['document']): string {
  const message = (document.error as { message?: unknown } | undefined)?.message;
  return typeof message === 'string' ? `: ${message}` : '';
}
