import { expect, it } from 'vitest';
import { adapterIdOf } from '../../../src/twinkle/adapter-id.js';

it.each(['default', 'A-b_9', 'x'.repeat(128)])('an adapter %s is called after its session', (adapter) => {
  expect(adapterIdOf({ session: 's', adapter })).toEqual({ session: 's', id: `s-${adapter}` });
});

it('dots become what a folder may have', () => {
  expect(adapterIdOf({ session: 's', adapter: 'v1.2' }).id).toBe('s-v1_2');
});

it.each([null, ''])('no session (%j) is refused, with what to do', (session) => {
  expect(() => adapterIdOf({ session, adapter: 'a' })).toThrow(/X-Twinkle-Session-Id.*create_session/);
});

it.each(['', 'a/b', '../x', 'a b', 'ä', 'x'.repeat(129), 'a\n'])('a name %j is refused', (adapter) => {
  const refused = expect.objectContaining({ status: 400, param: 'adapter_name' });
  expect(() => adapterIdOf({ session: 's', adapter })).toThrow(refused);
});
