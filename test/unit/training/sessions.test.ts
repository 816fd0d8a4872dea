import { expect, it, vi } from 'vitest';
import { Sessions } from '../../../src/training/sessions.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };

function build() {
  const ended = vi.fn();
  const clock = { now: 0 };
  return { sessions: new Sessions({ nowMs: () => clock.now, silenceMs: 100, ended }), ended, clock };
}

it('lives while it is heard of, and ends once', () => {
  const { clock, ended, sessions } = build();
  const { id } = sessions.create('t', NEW);
  clock.now = 90;
  sessions.get('t', id);
  clock.now = 190;
  sessions.sweep();
  expect(ended).not.toHaveBeenCalled();
  clock.now = 191;
  sessions.sweep();
  sessions.sweep();
  expect(ended).toHaveBeenCalledOnce();
  expect(() => sessions.get('t', id)).toThrow(expect.objectContaining({ code: 'SESSION_ENDED', status: 410 }));
});

it('is its tenant’s alone', () => {
  const { ended, sessions } = build();
  const { id } = sessions.create('t', NEW);
  sessions.create('other', NEW);
  expect(() => sessions.get('other', id)).toThrow('has ended');
  sessions.end('other', id);
  expect(ended).not.toHaveBeenCalled();
  expect(sessions.of('t').map((session) => session.id)).toEqual([id]);
  sessions.end('t', id);
  expect(sessions.of('t')).toEqual([]);
});

it('is the same for the same key of the same tenant, until it ends', () => {
  const { sessions } = build();
  const keyed = { ...NEW, idempotencyKey: 'k' };
  const { id } = sessions.create('t', keyed);
  expect(sessions.create('t', keyed).id).toBe(id);
  expect(sessions.create('other', keyed).id).not.toBe(id);
  expect(sessions.create('t', NEW).id).not.toBe(id);
  sessions.end('t', id);
  expect(sessions.create('t', keyed).id).not.toBe(id);
});
