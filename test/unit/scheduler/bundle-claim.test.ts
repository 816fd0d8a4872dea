import { describe, expect, test } from 'vitest';
import {
  ANY_BUNDLE,
  checkBundleRequest,
  chooseBundle,
  freeOfGrant,
  inheritGroup,
  type UsableBundle,
} from '../../../src/scheduler/bundle-claim.js';
import { allFree, giveBack, take } from '../../../src/scheduler/free.js';
import { parseNodes } from '../../../src/scheduler/node-spec.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { Free } from '../../../src/scheduler/types.js';

type Quantities = Record<string, number>;

/** A group whose bundles were taken one after the other on nodes of 4 CPUs and 4 GPUs. */
function group(seats: readonly (readonly [node: string, bundle: Quantities])[]): UsableBundle[] {
  const free = new Map<string, Free>();
  return seats.map(([node, bundle]) => {
    const [spec] = parseNodes([{ id: node, resources: { CPU: 4, GPU: 4 } }], 'n');
    const taken = take(free.get(node) ?? allFree(spec as NonNullable<typeof spec>), toResources(bundle));
    if (taken === null) throw new Error('the test asks for too much');
    free.set(node, taken.free);
    return { node, free: freeOfGrant(taken.grant) };
  });
}

/** Claims, and remembers it. */
function claim(bundles: UsableBundle[], want: Quantities, index: number): string {
  const choice = chooseBundle(bundles, toResources(want), index);
  if (choice.outcome === 'pending') return choice.reason;
  bundles[choice.bundle] = { node: choice.node, free: choice.free };
  const devices = (choice.grant.instances.get('GPU') ?? []).map(([instance]) => instance);
  return `${choice.node} bundle ${choice.bundle} [${devices.join(',')}]`;
}

describe('checkBundleRequest', () => {
  const bundles = [{ GPU: 1 }, { GPU: 2, CPU: 1 }].map(toResources);

  test.each([
    [{ GPU: 2 }, 0],
    [{ GPU: 2, CPU: 1 }, ANY_BUNDLE],
    [{}, 1],
  ])('lets %o of bundle %i pass', (want, index) => {
    expect(() => checkBundleRequest(bundles, toResources(want as Quantities), index)).not.toThrow();
  });

  test.each([
    ['more than any bundle', { GPU: 3 }, ANY_BUNDLE, /fit into one bundle.*GPU 3; the bundles are GPU 1; GPU 2, CPU 1/],
    ['what two bundles have between them', { GPU: 1, CPU: 2 }, ANY_BUNDLE, /fit into one bundle/],
    ['something that no bundle has', { ssd: 1 }, 1, /fit into one bundle/],
    ['an index after the last', { GPU: 1 }, 2, /from 0 to 1, or -1 for any, for `bundleIndex` but received 2/],
    ['an index under -1', { GPU: 1 }, -2, /-2/],
    ['half an index', { GPU: 1 }, 0.5, /0.5/],
    ['an index that is text', { GPU: 1 }, '1', /"1"/],
  ])('refuses %s', (_what, want, index, words) => {
    const act = () => checkBundleRequest(bundles, toResources(want as Quantities), index);
    expect(act).toThrow(expect.objectContaining({ code: 'PLACEMENT_INVALID' }));
    expect(act).toThrow(words);
  });
});

describe('chooseBundle', () => {
  test('gives the devices of the bundle, as seen on a cluster of Ray', () => {
    const bundles = group([
      ['a', { GPU: 1 }],
      ['a', { GPU: 2 }],
    ]);
    expect(claim(bundles, { GPU: 1 }, 0)).toBe('a bundle 0 [0]');
    expect(claim(bundles, { GPU: 1 }, 1)).toBe('a bundle 1 [1]');
    expect(claim(bundles, { GPU: 1 }, ANY_BUNDLE)).toBe('a bundle 1 [2]');
    expect(claim(bundles, { GPU: 1 }, ANY_BUNDLE)).toBe('no bundle has GPU 1 free');
    expect(claim(bundles, { GPU: 1 }, 0)).toBe('bundle 0 on a does not have GPU 1 free');
  });

  test('takes the first bundle that holds it whole, on the first node that has it', () => {
    const bundles = group([
      ['a', { GPU: 1 }],
      ['b', { GPU: 1 }],
      ['a', { GPU: 1 }],
      ['b', { GPU: 2 }],
    ]);
    expect(claim(bundles, { GPU: 2 }, ANY_BUNDLE)).toBe('b bundle 3 [1,2]');
    expect(repeatClaim(bundles, 4)).toEqual([
      'a bundle 0 [0]',
      'a bundle 2 [1]',
      'b bundle 1 [0]',
      'no bundle has GPU 1 free',
    ]);
  });

  test('keeps a fraction on one device of the bundle', () => {
    const bundles = group([
      ['a', { GPU: 0.5 }],
      ['a', { GPU: 1.5 }],
    ]);
    expect(claim(bundles, { GPU: 0.6 }, 1)).toBe('a bundle 1 [1]');
    expect(claim(bundles, { GPU: 0.5 }, ANY_BUNDLE)).toBe('a bundle 0 [0]');
    expect(claim(bundles, { GPU: 0.5 }, ANY_BUNDLE)).toBe('a bundle 1 [0]');
    expect(claim(bundles, { GPU: 0.5 }, ANY_BUNDLE)).toBe('no bundle has GPU 0.5 free');
    expect(claim(bundles, { GPU: 0.4 }, ANY_BUNDLE)).toBe('a bundle 1 [1]');
  });

  test('gives back what it gave', () => {
    const [bundle] = group([['a', { GPU: 2, CPU: 1 }]]);
    const before = (bundle as UsableBundle).free;
    const choice = chooseBundle([bundle as UsableBundle], toResources({ GPU: 1, CPU: 0.5 }), 0);
    if (choice.outcome !== 'placed') throw new Error('pending');
    expect(giveBack(choice.free, choice.grant)).toEqual(before);
  });

  test('keeps even those that ask for nothing inside the group', () => {
    const bundles = group([
      ['b', { GPU: 1 }],
      ['a', { GPU: 1 }],
    ]);
    expect(claim(bundles, {}, ANY_BUNDLE)).toBe('b bundle 0 []');
    expect(claim(bundles, {}, 1)).toBe('a bundle 1 []');
  });

  test('waits for bundles that lost their node', () => {
    const [first, second] = group([
      ['a', { GPU: 1 }],
      ['b', { GPU: 1 }],
    ]) as [UsableBundle, UsableBundle];
    const lost = { ...first, node: null };
    expect(claim([lost, second], { GPU: 1 }, ANY_BUNDLE)).toBe('b bundle 1 [0]');
    expect(claim([lost, second], {}, ANY_BUNDLE)).toBe('b bundle 1 []');
    expect(claim([lost, second], { GPU: 1 }, 0)).toBe('bundle 0 has no node now');
    expect(claim([lost], {}, ANY_BUNDLE)).toBe('no bundle of the group has a node now');
  });
});

function repeatClaim(bundles: UsableBundle[], count: number): string[] {
  return Array.from({ length: count }, () => claim(bundles, { GPU: 1 }, ANY_BUNDLE));
}

describe('inheritGroup', () => {
  const parent = { group: 'g', index: 3, capture: true };
  test.each([
    ['inherits any bundle', parent, null, { group: 'g', index: -1, capture: true }],
    ['does not inherit where the parent does not capture', { ...parent, capture: false }, null, null],
    ['has none without a parent', null, null, null],
    ['opts out', parent, 'none', null],
    [
      'names another group, and captures as its parent does',
      parent,
      { group: 'h', index: 0, capture: null },
      { group: 'h', index: 0, capture: true },
    ],
    [
      'names a group and does not capture',
      parent,
      { group: 'h', index: 0, capture: false },
      { group: 'h', index: 0, capture: false },
    ],
    [
      'captures only when told',
      null,
      { group: 'h', index: 0, capture: null },
      { group: 'h', index: 0, capture: false },
    ],
  ] as const)('a child %s', (_what, from, written, expected) => {
    expect(inheritGroup<string>(from, written)).toEqual(expected);
  });
});
