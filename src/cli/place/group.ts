/** A what-if of a placement group: places it, and says where it went or why it did not. */
import { type BlockLinks, blockLinks } from '../../scheduler/block-links.js';
import { parseBundles } from '../../scheduler/bundle-expression.js';
import { ClusterState } from '../../scheduler/cluster-state.js';
import { explainGroup } from '../../scheduler/explain.js';
import { placeGroup } from '../../scheduler/place-group.js';
import { toQuantities } from '../../scheduler/resources.js';
import { type TraceStep, traceGroup } from '../../scheduler/trace.js';
import type { GroupRequest } from '../../scheduler/types.js';
import { compileGroup } from '../../scheduler/validate.js';
import { knownNode } from './cluster.js';
import { jsonOf, type PlaceFlags, wholeNumberOf } from './flags.js';
import { seatDevices, type WhatIfDevice } from './seat-devices.js';

/** Choices that are explained; each costs a look at every node. */
const EXPLAINED = 50;

/** What `--json` prints of a group, and the view shows. */
export interface WhatIf {
  readonly outcome: 'placed' | 'pending' | 'infeasible';
  readonly strategy: string;
  /** Nodes of the cluster. */
  readonly nodes: number;
  readonly bundles: readonly {
    readonly bundle: number;
    readonly resources: Readonly<Record<string, number>>;
    /** Null: nothing is placed unless everything is. */
    readonly node: string | null;
    readonly devices: readonly WhatIfDevice[];
  }[];
  /** Whether it would be placed if nothing were in use. */
  readonly fitsWhenEmpty: boolean;
  /** Why not; null when placed. */
  readonly reason: string | null;
  /** Per node, when not placed. */
  readonly reasons: readonly { readonly node: string; readonly kind: string; readonly reason: string }[];
  /** With `--explain`, when placed: the first choices in order, and the links of tensor-parallel bundles. */
  readonly choices?: readonly (Omit<TraceStep, 'resources'> & {
    readonly resources: Readonly<Record<string, number>>;
  })[];
  readonly links?: readonly BlockLinks[];
}

/** The request that the flags describe. @throws `PLACEMENT_INVALID`, `USAGE` */
export function requestOf(flags: PlaceFlags, state: ClusterState): GroupRequest {
  const { softTarget, tensorParallel } = flags;
  if (softTarget !== undefined) knownNode(state, softTarget, '--soft-target');
  const written = {
    bundles: parseBundles(flags.bundles ?? ''),
    strategy: flags.strategy,
    topologyStrategy: flags.topology === undefined ? null : jsonOf(flags.topology, '--topology'),
    bundleLabelSelector: flags.labels === undefined ? null : jsonOf(flags.labels, '--labels'),
    softTarget,
    tensorParallel: tensorParallel === undefined ? null : wholeNumberOf(tensorParallel, '--tensor-parallel'),
  };
  return compileGroup(written, {
    strategy: '--strategy',
    topologyStrategy: '--topology',
    bundleLabelSelector: '--labels',
    softTarget: '--soft-target',
    tensorParallel: '--tensor-parallel',
  });
}

/** Place it on paper; the state stays as it is. */
export function whatIfGroup(state: ClusterState, request: GroupRequest, explain: boolean): WhatIf {
  const placement = placeGroup(state, request);
  const placed = placement.outcome === 'placed' ? placement.bundles : [];
  const seats = new Map(placed.map((bundle) => [bundle.index, bundle]));
  const answer = {
    outcome: placement.outcome,
    strategy: request.strategy,
    nodes: state.size,
    bundles: request.bundles.map((resources, bundle) => {
      const seat = seats.get(bundle);
      const devices = seat === undefined ? [] : seatDevices(state, seat.node, seat.grant);
      return { bundle, resources: toQuantities(resources), node: seat?.node ?? null, devices };
    }),
    fitsWhenEmpty: placement.outcome === 'placed' || fits(state, request),
    reason: placement.outcome === 'placed' ? null : placement.reason,
    reasons: placement.outcome === 'placed' ? [] : explainGroup(state, request),
  };
  if (!explain || placement.outcome !== 'placed') return answer;
  return {
    ...answer,
    choices: traceGroup(state, request, placed, EXPLAINED).map((step) => ({
      ...step,
      resources: toQuantities(step.resources),
    })),
    links: request.tensorParallel === 1 ? [] : blockLinks(state, placed, request.tensorParallel),
  };
}

function fits(state: ClusterState, request: GroupRequest): boolean {
  const empty = new ClusterState();
  for (const { spec, schedulable } of state.nodes()) empty.addNode(spec, schedulable);
  return placeGroup(empty, request).outcome === 'placed';
}
