/** Asks every running instance of a home folder at once; who does not answer becomes a note and hides nobody. */
import type { ClusterSnapshot } from '../../cluster/api.js';
import type { HeadStatus, InstanceFile, RunStatus } from '../../runtime/types.js';
import { type AnyStatus, askCluster, askRuns, askStatus, askWork, type Silent, type WorkDocuments } from '../admin.js';
import { runningInstances } from '../home.js';

/** A cluster and who told of it. */
export interface FoundCluster {
  readonly snapshot: ClusterSnapshot;
  /** The instance whose own it is, or the head; of several that tell of one cluster, the head. */
  readonly teller: InstanceFile;
}

/** What was found in a home folder. */
export interface Found<T> {
  readonly found: readonly T[];
  /** `a1b2c3 (server, pid 7): why it told nothing`. */
  readonly notes: readonly string[];
  /** Processes that run there, whether they answer or not. */
  readonly running: number;
}

/** The state of every server, standalone head and agent, oldest first. */
export function gatherStatus(home: string): Promise<Found<AnyStatus>> {
  return gather(home, askStatus);
}

/** Every cluster once, however many of its members run here. */
export async function gatherClusters(home: string): Promise<Found<FoundCluster>> {
  const all = await gather(home, async (teller) => {
    const snapshot = await askCluster(teller);
    return 'silent' in snapshot ? snapshot : { snapshot, teller };
  });
  return { ...all, found: mergeClusters(all.found) };
}

/** What a server trains. */
export interface FoundRuns {
  readonly runs: readonly RunStatus[];
  readonly teller: InstanceFile;
}

/** The runs of every server. */
export function gatherRuns(home: string): Promise<Found<FoundRuns>> {
  return gather(home, async (teller) => {
    const answer = await askRuns(teller);
    return 'silent' in answer ? answer : { ...answer, teller };
  });
}

/** The actors, tasks or objects of every head. */
export async function gatherWork<Part extends keyof WorkDocuments>(
  home: string,
  part: Part,
): Promise<Found<WorkDocuments[Part]>> {
  const all = await gather(home, (teller) => askWork(teller, part));
  return { ...all, found: all.found.flatMap(({ work }) => work ?? []) };
}

/** One entry a cluster, in order of first mention: the newest truth about it, and its head as teller. */
export function mergeClusters(found: readonly FoundCluster[]): FoundCluster[] {
  const byId = new Map<string, FoundCluster>();
  for (const one of found) {
    const earlier = byId.get(one.snapshot.cluster);
    byId.set(one.snapshot.cluster, earlier === undefined ? one : better(earlier, one));
  }
  return [...byId.values()];
}

function better(a: FoundCluster, b: FoundCluster): FoundCluster {
  const newer = (one: ClusterSnapshot, other: ClusterSnapshot): boolean =>
    one.epoch > other.epoch || (one.epoch === other.epoch && one.version > other.version);
  return {
    snapshot: newer(b.snapshot, a.snapshot) ? b.snapshot : a.snapshot,
    teller: b.teller.kind === 'head' && a.teller.kind !== 'head' ? b.teller : a.teller,
  };
}

async function gather<T extends object>(
  home: string,
  ask: (file: InstanceFile) => Promise<T | Silent>,
): Promise<Found<T>> {
  const files = runningInstances(home).map(({ file }) => file);
  const answers = await Promise.all(files.map(async (file) => ({ file, answer: await ask(file) })));
  return {
    found: answers.flatMap(({ answer }) => ('silent' in answer ? [] : [answer])),
    notes: answers.flatMap(({ file, answer }) => ('silent' in answer ? [describeSilence(file, answer)] : [])),
    running: files.length,
  };
}

/** Some reasons are sentences about it, the others what the system said. */
function describeSilence({ instance, kind, pid }: InstanceFile, { silent }: Silent): string {
  const why = silent.startsWith('it ') ? silent : `it does not answer: ${silent}`;
  return `${instance} (${kind === 'serve' ? 'server' : kind}, pid ${pid}): ${why}`;
}

/** Without standalone heads and agents. */
export function serversOf(found: readonly AnyStatus[]): HeadStatus[] {
  return found.filter((status) => status.kind === 'serve');
}
