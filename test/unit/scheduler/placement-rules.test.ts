import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { explainGroup } from '../../../src/scheduler/explain.js';
import { placeGroup } from '../../../src/scheduler/place-group.js';
import type { PlacedBundle } from '../../../src/scheduler/types.js';
import { legalOutcomes } from '../../support/placement-oracle.js';
import { cluster, groupRequest, nodeSpec, outcomeOf } from './arbitrary.js';

/** Everything that placing can see, to compare before and after. */
const seen = (state: ClusterState): unknown =>
  [...state.nodes()].map(({ order, schedulable, spec, free }) => [order, schedulable, spec.id, free]);

function claimAll(state: ClusterState, bundles: readonly PlacedBundle[]): boolean {
  return bundles.every(({ node, grant }) => state.claim(node, grant));
}

describe('random small clusters', () => {
  it('places, waits and refuses only as some way through the rules does', () => {
    fc.assert(
      fc.property(cluster(4), groupRequest(4, 5), (state, request) => {
        const allowed = legalOutcomes([...state.nodes()], request);
        expect([...allowed]).toContain(outcomeOf(placeGroup(state, request)));
      }),
      { numRuns: 1500 },
    );
  });

  it('prefers linked devices only where the rules leave a choice', () => {
    fc.assert(
      fc.property(cluster(4, true), groupRequest(4, 5, 4), (state, request) => {
        const allowed = legalOutcomes([...state.nodes()], request);
        expect([...allowed]).toContain(outcomeOf(placeGroup(state, request)));
      }),
      { numRuns: 1000 },
    );
  });

  it('grants all bundles exactly what they ask for, nothing twice, and giving back is as if nothing had been', () => {
    fc.assert(
      fc.property(cluster(4, true), groupRequest(4, 5, 4), (state, request) => {
        const before = seen(state);
        const placement = placeGroup(state, request);
        expect(seen(state)).toEqual(before);
        if (placement.outcome !== 'placed') return;
        expect(placement.bundles.map(({ index }) => index)).toEqual(request.bundles.map((_, index) => index));
        expect(placement.bundles.map(({ grant }) => grant.resources)).toEqual(request.bundles);
        for (const { grant } of placement.bundles) {
          for (const [name, pieces] of grant.instances) {
            const parts = pieces.filter(([, units]) => units !== 10_000);
            expect(parts.length).toBeLessThanOrEqual(1);
            expect(pieces.reduce((sum, [, units]) => sum + units, 0)).toBe(grant.resources.get(name));
          }
        }
        // Claiming fails where anything is not free, so this is what oversubscription would break.
        expect(claimAll(state, placement.bundles)).toBe(true);
        for (const { node, grant } of placement.bundles) state.giveBack(node, grant);
        expect(seen(state)).toEqual(before);
      }),
      { numRuns: 800 },
    );
  });

  it('calls nothing infeasible because a node joined', () => {
    fc.assert(
      fc.property(cluster(3), nodeSpec('n9'), groupRequest(4, 5), (state, spec, request) => {
        const before = placeGroup(state, request).outcome;
        state.addNode(spec);
        if (before !== 'infeasible') expect(placeGroup(state, request).outcome).not.toBe('infeasible');
      }),
      { numRuns: 800 },
    );
  });

  it('says for each node why it refuses', () => {
    fc.assert(
      fc.property(cluster(4), groupRequest(4, 5), (state, request) => {
        const placement = placeGroup(state, request);
        if (placement.outcome === 'placed') return;
        expect(placement.reason).toMatch(/\S/);
        const reasons = explainGroup(state, request);
        expect(reasons.map(({ node }) => node)).toEqual([...state.nodes()].map(({ spec }) => spec.id));
        for (const { reason } of reasons) expect(reason).toMatch(/\S/);
        // Only where a strategy wants more nodes than there are can a node do its part and the group still not fit.
        const tooFew = request.strategy === 'STRICT_SPREAD' && placement.bundle === null;
        if (!tooFew && request.domain === null) expect(reasons.map(({ kind }) => kind)).not.toContain('available');
        if (placement.outcome === 'infeasible' && !tooFew && request.occupied.size === 0 && request.domain === null) {
          expect(reasons.filter(({ kind }) => kind === 'busy')).toEqual([]);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
