import { expect, test } from 'vitest';
import { readableLine } from '../../../src/cli/render/log-line.js';

test.each([
  [
    '{"level":30,"time":"2026-01-31T12:00:00.123Z","gang":"demo/0","pids":[null,7],"event":"gang_state"}',
    '2026-01-31 12:00:00,123 INFO gang_state gang=demo/0 pids=[null,7]',
  ],
  [
    '{"level":50,"time":"2026-01-31T12:00:00.123Z","message":"two words","event":"gang_failed"}',
    '2026-01-31 12:00:00,123 ERROR gang_failed message="two words"',
  ],
  ['{"level":30,"torn', '{"level":30,"torn'],
  ['{"answer": 42}', '{"answer": 42}'],
  ['plain words of a rank', 'plain words of a rank'],
])('%j', (line, readable) => {
  expect(readableLine(line)).toBe(readable);
});
