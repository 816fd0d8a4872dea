import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { EndSignals } from '../../../../src/cli/serve/signals.js';

test('work that a signal made fail ends with the code of the last one; any other failure stays a failure', () => {
  const source = new EventEmitter();
  const signals = new EndSignals(source);
  const own = new Error('its own');
  expect(() => signals.codeFor(undefined)).toThrow();
  source.emit('SIGINT');
  expect(signals.codeFor(signals.aborted.reason)).toBe(130);
  expect(() => signals.codeFor(own)).toThrow(own);
  source.emit('SIGTERM');
  expect(signals.codeFor(signals.aborted.reason)).toBe(143);
  signals.close();
  expect(source.eventNames()).toEqual([]);
});
