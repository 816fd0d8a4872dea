/** Specs of groups and leases → what the scheduler is asked for. Refuses what is wrong in itself. Pure. */
import { parseSelector } from '../scheduler/labels.js';
import { checkQuantities } from '../scheduler/quantity.js';
import type { GroupRequest, LabelSelector, Resources } from '../scheduler/types.js';
import { compileGroup, identityOf } from '../scheduler/validate.js';
import { invalid, unexpected } from '../scheduler/written.js';
import type { LeaseRequest, PlacementRequest } from './request-shape.js';
import { readTaskSpec } from './task-spec.js';
import type { GroupSpec, TaskPlacementSpec } from './types.js';

/**
 * Compile a spec.
 * @throws `PLACEMENT_INVALID`
 */
export function requestOf(spec: GroupSpec): PlacementRequest {
  // What a journal says was checked when it was written, perhaps by another version.
  const task = readTaskSpec(spec.task);
  return task === null ? groupRequest(spec) : leaseRequest(spec, task);
}

function groupRequest(spec: GroupSpec): GroupRequest {
  const { bundles, strategy, domainLabel, selectors, softTarget, tensorParallel } = spec;
  const written = { bundles, strategy, domainLabel, bundleLabelSelector: selectors, softTarget, tensorParallel };
  return compileGroup({ ...written, ...writtenIdentity(spec) }, { bundleLabelSelector: 'selectors' });
}

function leaseRequest(spec: GroupSpec, task: TaskPlacementSpec): LeaseRequest {
  identityOf(writtenIdentity(spec));
  const { bundles, strategy, domainLabel, softTarget, tensorParallel } = spec;
  if (!Array.isArray(bundles) || bundles.length !== 1) {
    throw unexpected('one bundle', 'bundles', bundles, 'a lease is one; make a lease of each, or a group');
  }
  if (strategy !== 'PACK' || domainLabel !== null || softTarget !== null || tensorParallel !== 1) {
    throw invalid(
      '`strategy`, `domainLabel`, `softTarget` and `tensorParallel` are of groups; a lease has `task.strategy`',
    );
  }
  const { resources: held } = checkQuantities(bundles[0], 'bundles[0]');
  const resources = task.needs === null ? held : larger(held, checkQuantities(task.needs, 'task.needs').resources);
  const selectors = [selectorOf(spec), ...task.fallbacks.map((one, at) => parseSelector(one, `task.fallbacks[${at}]`))];
  return { resources, held, strategy: task.strategy, selectors, preferred: task.preferred };
}

function writtenIdentity({ name, namespace, lifetime }: GroupSpec) {
  return { name, namespace, lifetime: lifetime === 'detached' ? lifetime : null };
}

function selectorOf({ selectors }: GroupSpec): LabelSelector {
  if (selectors === null) return [];
  if (!Array.isArray(selectors) || selectors.length !== 1) throw unexpected('one selector', 'selectors', selectors);
  return parseSelector(selectors[0], 'selectors[0]');
}

/** Of each resource the larger amount: what is held must be there, whatever is needed besides. */
function larger(held: Resources, needs: Resources): Resources {
  const all = new Map(held);
  for (const [name, units] of needs) all.set(name, Math.max(units, all.get(name) ?? 0));
  return all;
}
