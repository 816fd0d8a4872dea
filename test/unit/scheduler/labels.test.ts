import { describe, expect, it } from 'vitest';
import { describeSelector, matches, parseSelector } from '../../../src/scheduler/labels.js';
import type { NodeSpec } from '../../../src/scheduler/types.js';

const node: NodeSpec = {
  id: 'n1',
  total: new Map(),
  labels: new Map([
    ['zone', 'a'],
    ['ray.io/accelerator-type', 'H100'],
  ]),
  devices: new Map(),
};
const fits = (written: unknown): boolean => matches(node, parseSelector(written, 'labels'));

describe('a label selector', () => {
  it.each([
    [{}, true],
    [{ zone: 'a' }, true],
    [{ zone: 'b' }, false],
    [{ zone: '!b' }, true],
    [{ zone: '!a' }, false],
    [{ zone: 'in(a,b)' }, true],
    [{ zone: 'in(b, c)' }, false],
    [{ zone: 'in(b, a)' }, true],
    [{ zone: '!in(b,c)' }, true],
    [{ zone: '!in(a)' }, false],
    [{ rack: 'r1' }, false],
    [{ rack: '!r1' }, true],
    [{ rack: '!in(r1,r2)' }, true],
    [{ zone: 'a', 'ray.io/accelerator-type': 'in(A100,H100)' }, true],
    [{ zone: 'a', 'ray.io/accelerator-type': '!H100' }, false],
    [{ 'ray.io/node-id': 'n1' }, true],
    [{ 'ray.io/node-id': '!n1' }, false],
    [{ 'ray.io/node-id': 'in(n2,n3)' }, false],
  ])('%j: %s', (written, expected) => expect(fits(written)).toBe(expected));

  it.each([
    [null, /object of label → value for `labels` but received null/],
    [['a'], /received \["a"\]/],
    ['zone=a', /received "zone=a"/],
    [{ zone: 1 }, /text for label `zone`/],
    [{ '': 'a' }, /"" is no label name/],
    [{ 'a/b/c': 'a' }, /"a\/b\/c" is no label name/],
    [{ zone: '' }, /"" is no label value/],
    [{ zone: '!' }, /is no label value/],
    [{ zone: 'in()' }, /is no selector/],
    [{ zone: 'in(a,)' }, /is no selector/],
    [{ zone: 'in(a' }, /is no selector/],
    [{ zone: 'in(a,  b)' }, /is no selector/],
    [{ zone: 'in(a ,b)' }, /is no selector/],
    [{ zone: 'in( a,b)' }, /is no selector/],
    [{ zone: '-a' }, /is no selector/],
    [{ zone: 'a b' }, /is no selector/],
    [{ zone: 'x'.repeat(64) }, /is no selector/],
  ])('refuses %j', (written, message) => {
    expect(() => parseSelector(written, 'labels')).toThrow(
      expect.objectContaining({ code: 'PLACEMENT_INVALID', message: expect.stringMatching(message) }),
    );
  });

  it('is told to people', () => {
    expect(describeSelector(parseSelector({ zone: '!b', rack: 'in(r1,r2)', gpu: '!in(x,y)', id: 'n' }, 'labels'))).toBe(
      'zone ≠ b, rack in (r1, r2), gpu not in (x, y), id = n',
    );
  });
});
