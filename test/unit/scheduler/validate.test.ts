import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { compileGroup, MAX_BUNDLES, type WrittenGroup } from '../../../src/scheduler/validate.js';

const GPU = [{ GPU: 1 }];
const selector = (accelerator: string) => ({ 'ray.io/accelerator-type': accelerator });

/** What is refused, and words that the message must have. */
const REFUSED: readonly (readonly [what: string, group: WrittenGroup, words: RegExp])[] = [
  ['no bundles at all', { bundles: undefined }, /list of bundles.*received nothing/],
  ['bundles that are an object', { bundles: { GPU: 1 } }, /list of bundles.*an object with GPU/],
  ['bundles that are text', { bundles: '[{"GPU":1}]' }, /list of bundles/],
  ['an empty list', { bundles: [] }, /one bundle or more.*an empty list/],
  ['too many bundles', { bundles: new Array(100_000).fill({ GPU: 1 }) }, /at most 10000 bundles.*a list of 100000/],
  ['a bundle that is a number', { bundles: [{ GPU: 1 }, 3] }, /`bundles\[1\]`.*received 3/],
  ['a bundle that is null', { bundles: [null] }, /`bundles\[0\]`.*received null/],
  ['a bundle that is a list', { bundles: [['GPU']] }, /`bundles\[0\]`.*a list of 1/],
  ['a bundle that is a Map', { bundles: [new Map([['GPU', 1]])] }, /`bundles\[0\]`.*a Map/],
  ['a hole in the list', { bundles: new Array(2) }, /`bundles\[0\]`.*received nothing/],
  ['an empty bundle', { bundles: [{}] }, /`bundles\[0\]` asks for nothing/],
  ['a bundle of zeros', { bundles: [{ GPU: 0, CPU: 0 }] }, /asks for nothing.*GPU, CPU/],
  ['a bundle of minus zero', { bundles: [{ GPU: -0 }] }, /asks for nothing/],
  ['a resource without a name', { bundles: [{ '': 1 }] }, /without a name/],
  ['a resource named by blanks', { bundles: [{ ' ': 1 }] }, /without a name/],
  ['the resource of the groups themselves', { bundles: [{ bundle: 1 }] }, /"bundle" is taken/],
  ['a negative amount', { bundles: [{ GPU: -1 }] }, /0 or more for `bundles\[0\].GPU` but received -1/],
  ['NaN', { bundles: [{ GPU: Number.NaN }] }, /finite.*NaN/],
  ['infinity', { bundles: [{ CPU: Number.POSITIVE_INFINITY }] }, /finite.*Infinity/],
  ['minus infinity', { bundles: [{ CPU: Number.NEGATIVE_INFINITY }] }, /finite.*-Infinity/],
  ['an amount that cannot be counted', { bundles: [{ CPU: 1e300 }] }, /at most 900000000000 /],
  ['bytes that cannot be counted', { bundles: [{ memory: 1e15 }] }, /at most 14000000000000 /],
  ['an amount that is text', { bundles: [{ GPU: '1' }] }, /a number for `bundles\[0\].GPU` but received "1"/],
  ['an amount that is null', { bundles: [{ GPU: null }] }, /a number.*null/],
  ['an amount that is a switch', { bundles: [{ GPU: true }] }, /a number.*true/],
  ['an amount that is a big integer', { bundles: [{ GPU: 1n }] }, /a number/],
  ['an unknown strategy', { bundles: GPU, strategy: 'STRICT' }, /PACK, SPREAD, STRICT_PACK, STRICT_SPREAD/],
  ['a strategy in small letters', { bundles: GPU, strategy: 'pack' }, /did you mean `PACK`/],
  ['a strategy that is no text', { bundles: GPU, strategy: 1 }, /`strategy` but received 1/],
  ['both strategies', { bundles: GPU, strategy: 'PACK', topologyStrategy: {} }, /exclude each other/],
  ['a topology strategy that is text', { bundles: GPU, topologyStrategy: 'PACK' }, /an object of label/],
  ['a topology strategy that is a list', { bundles: GPU, topologyStrategy: ['a'] }, /an object of label/],
  ['an unknown strategy of nodes', { bundles: GPU, topologyStrategy: { 'ray.io/node-id': 'NEAR' } }, /"NEAR"/],
  ['a domain that is not strict', { bundles: GPU, topologyStrategy: { rack: 'PACK' } }, /expected STRICT_PACK/],
  [
    'two domains',
    { bundles: GPU, topologyStrategy: { rack: 'STRICT_PACK', row: 'STRICT_PACK' } },
    /names rack and row; leave one out/,
  ],
  ['a domain without a name', { bundles: GPU, topologyStrategy: { '': 'STRICT_PACK' } }, /no label name/],
  ['a domain label that is no text', { bundles: GPU, domainLabel: 7 }, /the name of a label for `domainLabel`/],
  ['a domain label without letters', { bundles: GPU, domainLabel: '' }, /`domainLabel`: "" is no label name/],
  ['the node as a domain', { bundles: GPU, domainLabel: 'ray.io/node-id' }, /several nodes .*STRICT_PACK for one node/],
  [
    'a domain label beside a topology strategy',
    { bundles: GPU, domainLabel: 'rack', topologyStrategy: {} },
    /`domainLabel` and `topologyStrategy` exclude each other/,
  ],
  ['an unknown strategy in a domain', { bundles: GPU, domainLabel: 'rack', strategy: 'NEAR' }, /`strategy` but/],
  ['too few selectors', { bundles: [...GPU, ...GPU], bundleLabelSelector: [{}] }, /2 selectors.*a list of 1/],
  ['too many selectors', { bundles: GPU, bundleLabelSelector: [{}, {}] }, /1 selectors.*a list of 2/],
  ['an empty list of selectors', { bundles: GPU, bundleLabelSelector: [] }, /an empty list/],
  ['one selector instead of a list', { bundles: GPU, bundleLabelSelector: { zone: 'a' } }, /one selector per bundle/],
  ['a selector that is text', { bundles: GPU, bundleLabelSelector: ['zone=a'] }, /bundleLabelSelector\[0\]/],
  ['a selector that is null', { bundles: GPU, bundleLabelSelector: [null] }, /bundleLabelSelector\[0\]/],
  ['a label value that is no text', { bundles: GPU, bundleLabelSelector: [{ zone: 1 }] }, /text for label `zone`/],
  ['a label name with a blank', { bundles: GPU, bundleLabelSelector: [{ 'a b': 'c' }] }, /"a b" is no label name/],
  ['a selector without values', { bundles: GPU, bundleLabelSelector: [{ zone: 'in()' }] }, /no selector/],
  ['a selector that is not closed', { bundles: GPU, bundleLabelSelector: [{ zone: 'in(a' }] }, /no selector/],
  ['a value that ends with a dash', { bundles: GPU, bundleLabelSelector: [{ zone: 'a-' }] }, /no selector/],
  [
    'a domain accelerator beside another',
    { bundles: [...GPU, ...GPU], bundleLabelSelector: [selector('GB200'), selector('H100')] },
    /GB200.*bundleLabelSelector\[1\].*"H100"/,
  ],
  [
    'a domain accelerator beside anything',
    { bundles: [...GPU, ...GPU], bundleLabelSelector: [{}, selector('GB300')] },
    /GB300.*bundleLabelSelector\[0\].*nothing/,
  ],
  ['a soft target of PACK', { bundles: GPU, softTarget: 'n1' }, /STRICT_PACK only but the strategy is PACK/],
  [
    'a soft target of a node strategy',
    { bundles: GPU, topologyStrategy: { 'ray.io/node-id': 'SPREAD' }, softTarget: 'n1' },
    /strategy is SPREAD/,
  ],
  ['the soft target of no node', { bundles: GPU, strategy: 'STRICT_PACK', softTarget: 'f'.repeat(56) }, /id of a node/],
  ['a soft target that is a number', { bundles: GPU, strategy: 'STRICT_PACK', softTarget: 1 }, /text for `softTarget`/],
  ['an unknown lifetime', { bundles: GPU, lifetime: 'forever' }, /"detached" or null.*"forever"/],
  ['an empty lifetime', { bundles: GPU, lifetime: '' }, /"detached" or null/],
  ['a lifetime that is a switch', { bundles: GPU, lifetime: true }, /"detached" or null/],
  ['a name that is a number', { bundles: GPU, name: 7 }, /text for `name`/],
  ['a namespace that is a list', { bundles: GPU, namespace: [] }, /text for `namespace`/],
  ['an empty namespace', { bundles: GPU, namespace: '' }, /a name for `namespace`/],
  ['a tensor parallel size of nothing', { bundles: GPU, tensorParallel: 0 }, /1 to 1/],
  ['half a tensor parallel size', { bundles: GPU, tensorParallel: 0.5 }, /whole number/],
  [
    'more tensor parallel ranks than bundles',
    { bundles: GPU, tensorParallel: 2 },
    /from 1 to 1, as there are bundles or devices/,
  ],
];

function refusal(group: WrittenGroup): TwinkleError {
  try {
    compileGroup(group);
  } catch (error) {
    return error as TwinkleError;
  }
  throw new Error('was accepted');
}

describe('compileGroup', () => {
  test.each(REFUSED)('refuses %s', (_what, group, words) => {
    const error = refusal(group);
    expect(error).toBeInstanceOf(TwinkleError);
    expect(error.code).toBe('PLACEMENT_INVALID');
    expect(error.message).toMatch(words);
    expect(error.message.length).toBeLessThan(300);
  });

  test('fills in what is not written', () => {
    expect(compileGroup({ bundles: [{ GPU: 1, CPU: 0.5 }] })).toEqual({
      strategy: 'PACK',
      bundles: [
        new Map([
          ['GPU', 10_000],
          ['CPU', 5000],
        ]),
      ],
      selectors: null,
      softTarget: null,
      domain: null,
      occupied: new Set(),
      tensorParallel: 1,
      name: '',
      namespace: 'default',
      lifetime: 'owner',
    });
  });

  test('takes null for everything that may be missing', () => {
    const absent = {
      strategy: null,
      topologyStrategy: null,
      domainLabel: null,
      bundleLabelSelector: null,
      softTarget: null,
      lifetime: null,
      name: null,
      namespace: null,
      tensorParallel: null,
    };
    expect(compileGroup({ bundles: GPU, ...absent })).toEqual(compileGroup({ bundles: GPU }));
  });

  test.each([
    ['fractions of devices', { GPU: 1.5 }, [['GPU', 15_000]]],
    ['a third', { GPU: 0.33333 }, [['GPU', 3333]]],
    ['an amount that rounds to nothing: such a bundle reserves nothing', { GPU: 0.00001 }, []],
    ['zeros beside an amount', { GPU: 0, CPU: 1 }, [['CPU', 10_000]]],
    ['a terabyte, exactly', { memory: 1e12 + 1 }, [['memory', (1e12 + 1) * 10_000]]],
    ['the name of a method', { constructor: 1 }, [['constructor', 10_000]]],
  ])('accepts %s', (_what, bundle, resources) => {
    expect([...(compileGroup({ bundles: [bundle] }).bundles[0] ?? [])]).toEqual(resources);
  });

  test('a domain label beside a strategy says the same as both in a topology strategy', () => {
    expect(compileGroup({ bundles: GPU, strategy: 'SPREAD', domainLabel: 'rack' })).toEqual(
      compileGroup({ bundles: GPU, topologyStrategy: { 'ray.io/node-id': 'SPREAD', rack: 'STRICT_PACK' } }),
    );
  });

  test('calls a field what its user calls it', () => {
    const wrong = { bundles: GPU, bundleLabelSelector: [1] };
    expect(() => compileGroup(wrong, { bundleLabelSelector: '--labels' })).toThrow(/for `--labels\[0\]`/);
    expect(() => compileGroup({ bundles: [{}] }, { bundles: 'workers' })).toThrow(/`workers\[0\]` asks for nothing/);
  });

  test('derives the strategy between nodes and the domain from a topology strategy', () => {
    const compile = (topologyStrategy: Record<string, string>) => {
      const { strategy, domain } = compileGroup({ bundles: GPU, topologyStrategy });
      return [strategy, domain];
    };
    expect(compile({})).toEqual(['PACK', null]);
    expect(compile({ 'ray.io/node-id': 'STRICT_SPREAD' })).toEqual(['STRICT_SPREAD', null]);
    expect(compile({ rack: 'STRICT_PACK' })).toEqual(['PACK', { label: 'rack', value: null }]);
    expect(compile({ rack: 'STRICT_PACK', 'ray.io/node-id': 'SPREAD' })).toEqual([
      'SPREAD',
      { label: 'rack', value: null },
    ]);
  });

  test('compiles selectors, and has none when all are empty', () => {
    const bundles = [{ GPU: 1 }, { GPU: 1 }];
    expect(compileGroup({ bundles, bundleLabelSelector: [{}, {}] }).selectors).toBeNull();
    expect(compileGroup({ bundles, bundleLabelSelector: [{}, { zone: '!in(a, b)' }] }).selectors).toEqual([
      [],
      [{ key: 'zone', not: true, values: ['a', 'b'] }],
    ]);
    expect(
      compileGroup({ bundles, bundleLabelSelector: [selector('GB200'), selector('GB200')] }).selectors,
    ).toHaveLength(2);
  });

  test('takes as many tensor parallel ranks as there are bundles or devices', () => {
    expect(compileGroup({ bundles: [{ GPU: 8 }], tensorParallel: 8 }).tensorParallel).toBe(8);
    expect(compileGroup({ bundles: [{ CPU: 1 }, { CPU: 1 }], tensorParallel: 2 }).tensorParallel).toBe(2);
    expect(() => compileGroup({ bundles: [{ GPU: 8 }], tensorParallel: 9 })).toThrow(/from 1 to 8/);
  });

  test('takes an empty soft target for none', () => {
    expect(compileGroup({ bundles: GPU, softTarget: '' }).softTarget).toBeNull();
    expect(compileGroup({ bundles: GPU, strategy: 'STRICT_PACK', softTarget: 'n1' }).softTarget).toBe('n1');
    const topologyStrategy = { 'ray.io/node-id': 'STRICT_PACK' };
    expect(compileGroup({ bundles: GPU, topologyStrategy, softTarget: 'n1' }).softTarget).toBe('n1');
  });

  test('accepts as many bundles as the limit says', () => {
    const bundles = Array.from({ length: MAX_BUNDLES }, (_, index) => ({ GPU: 1, CPU: index }));
    expect(compileGroup({ bundles }).bundles).toHaveLength(MAX_BUNDLES);
  });

  test('never fails in another way, whatever is written', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            bundles: fc.oneof(fc.anything(), fc.array(fc.anything(), { maxLength: 3 })),
            strategy: fc.anything(),
            topologyStrategy: fc.anything(),
            domainLabel: fc.anything(),
            bundleLabelSelector: fc.anything(),
            softTarget: fc.anything(),
            lifetime: fc.anything(),
            name: fc.anything(),
            tensorParallel: fc.anything(),
          },
          { requiredKeys: ['bundles'] },
        ),
        (group) => {
          try {
            compileGroup(group);
          } catch (error) {
            expect(error).toMatchObject({ code: 'PLACEMENT_INVALID' });
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
