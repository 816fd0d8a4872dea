import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeGrants } from '../../../src/cluster/merge-grants.js';
import { grantFromWire, grantToWire, helloToSpec } from '../../../src/cluster/wire.js';
import { allFree, giveBack, take, takeGrant } from '../../../src/scheduler/free.js';
import type { Grant } from '../../../src/scheduler/types.js';

const spec = helloToSpec({
  id: 'n0',
  total: { CPU: 64, GPU: 8, memory: 2_000_000_000_000 },
  labels: { rack: 'r1' },
  devices: {
    GPU: {
      ids: Array.from({ length: 8 }, (_, at) => `uuid-${at}`),
      numa: new Array<null>(8).fill(null),
      links: [
        { a: 0, b: 1, kind: 'nvlink', lanes: 4 },
        { a: 0, b: 2, kind: 'a-link-of-tomorrow', lanes: 1 },
      ],
    },
  },
});

const amount = fc.record({
  CPU: fc.integer({ min: 1, max: 50_000 }),
  GPU: fc.integer({ min: 1, max: 20_000 }),
  memory: fc.integer({ min: 1, max: 1_000_000_000_000 }).map((bytes) => bytes * 10_000),
});

describe('wire forms', () => {
  it('bring back every grant exactly, also through JSON', () => {
    fc.assert(
      fc.property(amount, (want) => {
        const taken = take(allFree(spec), new Map(Object.entries(want)));
        if (taken === null) return;
        expect(grantFromWire(JSON.parse(JSON.stringify(grantToWire(taken.grant))))).toEqual(taken.grant);
      }),
    );
  });

  it('make a node of a hello, with links of unknown kinds', () => {
    expect(spec.total.get('GPU')).toBe(80_000);
    expect(spec.labels).toEqual(new Map([['rack', 'r1']]));
    expect(spec.devices.get('GPU')?.links.map(({ kind }) => kind)).toEqual(['nvlink', 'unknown']);
  });
});

describe('merged grants', () => {
  it('take and give back the same as one by one', () => {
    fc.assert(
      fc.property(fc.array(amount, { minLength: 1, maxLength: 5 }), (wants) => {
        let free = allFree(spec);
        const pieces: { grant: Grant }[] = [];
        for (const want of wants) {
          const taken = take(free, new Map(Object.entries(want)));
          if (taken === null) continue;
          free = taken.free;
          pieces.push({ grant: taken.grant });
        }
        const sum = mergeGrants(pieces);
        const at = takeGrant(allFree(spec), sum);
        expect(at).toEqual(free);
        expect(giveBack(free, sum)).toEqual(allFree(spec));
      }),
    );
  });
});
