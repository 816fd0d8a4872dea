import { expect, it } from 'vitest';
import { canMount, routesAt } from '../../../../src/gateway/twinkle/mounts.js';
import { sessionOf } from '../../../../src/gateway/twinkle/session-header.js';

const urlAt = (path: string): string => routesAt(path, {} as never, {} as never).get('x', '', () => null).url;

it('a path is what it says, colons and all', () => {
  expect([urlAt('/a/b'), urlAt('/model/org/m:v1')]).toEqual(['/a/b/x', '/model/org/m::v1/x']);
});

it('a name with a star has no place', () => {
  expect(['a', 'a*', '*'].map((name) => canMount({ name, prefixes: [] }))).toEqual([true, false, false]);
});

it('the session is what one header says', () => {
  const of = (value: unknown) => sessionOf({ headers: { 'x-twinkle-session-id': value } } as never);
  expect(['s', '', undefined, ['a', 'b']].map(of)).toEqual(['s', null, null, null]);
});
