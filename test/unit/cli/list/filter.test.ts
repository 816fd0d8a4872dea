import { describe, expect, test } from 'vitest';
import { compileFilter } from '../../../../src/cli/list/filter.js';
import { compileSelection } from '../../../../src/cli/list/selection.js';

const FIELDS = {
  id: 'value',
  state: 'value',
  owner: 'value',
  pid: 'value',
  labels: 'map',
  names: ['value'],
  bundles: [{ node: 'value', resources: 'map' }],
} as const;
const ROW = {
  id: 'a=b',
  state: 'CREATED',
  owner: null,
  pid: 7,
  labels: { 'ray.io/zone': 'eu', plain: 'x', free: true },
  names: ['m', 'alias'],
  bundles: [
    { node: 'n1', resources: { GPU: 0.5 } },
    { node: null, resources: { GPU: 1, CPU: 2 } },
  ],
};

describe('a condition', () => {
  test.each([
    ['pid=7', true],
    ['pid=7.0', true],
    ['pid=8', false],
    ['pid=', false],
    ['pid!=8', true],
    ['id=a=b', true],
    ['state=created', false],
    ['owner=null', true],
    ['owner=', true],
    ['owner!=', false],
    ['state=', false],
    ['labels.ray.io/zone=eu', true],
    ['labels.ray.io/zone!=eu', false],
    ['labels.free=true', true],
    ['labels.nowhere=eu', false],
    ['labels.nowhere!=eu', true],
    ['labels.constructor=x', false],
    ['names=alias', true],
    ['names.0=alias', false],
    ['names.1=alias', true],
    ['names.2=alias', false],
    ['bundles.node=n1', true],
    ['bundles.0.node=n1', true],
    ['bundles.1.node=n1', false],
    ['bundles.1.node=', true],
    ['bundles.resources.GPU=1', true],
    ['bundles.resources.GPU=0.50', true],
    // No bundle may have it, not: some bundle has another.
    ['bundles.node!=n1', false],
  ])('%s: %s', (text, holds) => {
    expect(compileFilter(text, FIELDS)(ROW)).toBe(holds);
  });

  test.each([
    ['pid', 'expected KEY=VALUE or KEY!=VALUE'],
    ['=7', 'expected KEY=VALUE'],
    ['pid==7', 'expected KEY=VALUE'],
    ['', 'expected KEY=VALUE'],
    ['stat=CREATED', 'there is no field `stat`; did you mean `state`?'],
    ['zzzzzz=1', 'there is no field `zzzzzz`; there are id, state, owner, pid, labels, names, bundles'],
    ['toString=1', 'there is no field `toString`'],
    ['bundles.nod=1', 'there is no field `nod`; did you mean `node`?'],
    ['pid.x=1', '`pid` has no fields'],
    ['labels=x', 'it names more than one value; go on with `.KEY`'],
    ['bundles=x', 'go on with `.node`, `.resources`'],
    ['bundles.0=x', 'go on with `.node`, `.resources`'],
  ])('%j is refused', (text, message) => {
    expect(() => compileFilter(text, FIELDS)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    expect(() => compileFilter(text, FIELDS)).toThrow(message);
  });
});

describe('a selection', () => {
  const listing = { states: ['PENDING', 'CREATED'], fields: FIELDS };
  test('states are alternatives and their letters may be small; filters must all hold', () => {
    expect(compileSelection({}, listing).accepts(ROW)).toBe(true);
    expect(compileSelection({ state: ['created'] }, listing).accepts(ROW)).toBe(true);
    expect(compileSelection({ state: ['pending'] }, listing).accepts(ROW)).toBe(false);
    expect(compileSelection({ state: ['pending', 'created'] }, listing).accepts(ROW)).toBe(true);
    expect(compileSelection({ filter: ['pid=7', 'owner='] }, listing).accepts(ROW)).toBe(true);
    expect(compileSelection({ filter: ['pid=7', 'owner=x'] }, listing).accepts(ROW)).toBe(false);
    expect(compileSelection({ state: ['created'], filter: ['pid=8'] }, listing).accepts(ROW)).toBe(false);
  });

  test('what is no state and no limit is refused', () => {
    expect(() => compileSelection({ state: ['creatd'] }, listing)).toThrow(
      'expected one of PENDING, CREATED for `--state` but received "creatd"; did you mean `CREATED`?',
    );
    for (const limit of ['0', '-1', '1.5', 'x', '', '9999999999'])
      expect(() => compileSelection({ limit }, listing)).toThrow('expected a whole number from 1 for `--limit`');
    expect(compileSelection({ limit: '12' }, listing).limit).toBe(12);
    expect(compileSelection({}, listing).limit).toBe(Number.POSITIVE_INFINITY);
  });
});
