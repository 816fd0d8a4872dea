/** `connectCluster`: placement groups of the head on this box, for programs that serve no model. */
import type { ClusterSnapshot, Group } from '../cluster/api.js';
import { readGroupSpec, type WrittenGroupSpec } from '../cluster/group-spec.js';
import { resolveHome } from '../config/home.js';
import { joinHead } from './head-placement.js';

/** Options of {@link connectCluster}. */
export interface ConnectOptions {
  /** Folder of the head's state; default `TWINKLE_HOME`, else `~/.twinkle-node`. */
  readonly home?: string;
  /** Ends the attempt. */
  readonly signal?: AbortSignal;
}

/** What {@link ClusterConnection.createGroup} takes: bundles, and what differs from the defaults. */
export type GroupOptions = WrittenGroupSpec;

/** A connection with a head. `await using cluster = await connectCluster()` leaves at the end of the block. */
export interface ClusterConnection extends AsyncDisposable {
  /** False while the head is away; groups live on until their lease is over. */
  readonly connected: boolean;
  /**
   * Make a placement group; it waits until there is room: await `ready()`.
   * @throws `PLACEMENT_INVALID`, `GROUP_NAME_TAKEN`, `HEAD_UNREACHABLE`
   */
  createGroup(options: GroupOptions): Promise<Group>;
  /** The living group of that name, whoever made it. Throws `GROUP_NOT_FOUND`. @param namespace default: `default` */
  findGroup(name: string, namespace?: string): Promise<Group>;
  /** Remove any group by its id, whoever made it: what runs in it must have ended. Throws `GROUP_NOT_FOUND`. */
  removeGroup(id: string): Promise<void>;
  /** Nodes, groups, and who holds what. */
  snapshot(): Promise<ClusterSnapshot>;
}

/**
 * Join the head that runs on this box (`twinkle-node start --head`). Keeps the process alive until disposed.
 * @throws `HEAD_UNREACHABLE` when none runs
 */
export async function connectCluster(options: ConnectOptions = {}): Promise<ClusterConnection> {
  const home = resolveHome(options.home, process.env, process.cwd());
  const cluster = await joinHead(home, options.signal);
  return {
    get connected() {
      return cluster.connected;
    },
    createGroup: async (group) => await cluster.createGroup(readGroupSpec(group)),
    findGroup: (name, namespace = 'default') => cluster.findGroup(name, namespace),
    removeGroup: (id) => cluster.removeGroup(id),
    snapshot: () => cluster.snapshot(),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
