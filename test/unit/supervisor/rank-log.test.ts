import { closeSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openRankLog, tailLog } from '../../../src/supervisor/rank-log.js';

it('appends, says which start it is, and is for its user alone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-log-'));
  try {
    const path = join(folder, 'new', 'rank0.log');
    for (const start of ['epoch 1', 'epoch 2']) closeSync(openRankLog(path, start));
    expect(readFileSync(path, 'utf8')).toBe('==== epoch 1\n==== epoch 2\n');
    expect(tailLog(path, 1)).toEqual(['==== epoch 2']);
    expect([statSync(path).mode & 0o777, statSync(join(folder, 'new')).mode & 0o777]).toEqual([0o600, 0o700]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('opens on a full disk too: a rank must be able to start', () => {
  closeSync(openRankLog('/dev/full', 'epoch 1'));
});
