import { existsSync, linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeStaleSocket } from '../../../src/runtime/stale-socket.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-stale-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

it('removes a socket whose server is gone, and leaves one that is served', async () => {
  const path = join(folder, 'served');
  const left = join(folder, 'left');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  linkSync(path, left); // closing removes the file by its first name only: what a kill leaves behind
  await removeStaleSocket(path);
  expect(existsSync(path)).toBe(true);
  await new Promise((resolve) => server.close(resolve));
  expect(existsSync(left)).toBe(true);
  await removeStaleSocket(left);
  expect(existsSync(left)).toBe(false);
});

it('touches nothing else', async () => {
  const file = join(folder, 'notes.txt');
  writeFileSync(file, 'mine');
  await removeStaleSocket(file);
  await removeStaleSocket(join(folder, 'absent'));
  expect(existsSync(file)).toBe(true);
});
