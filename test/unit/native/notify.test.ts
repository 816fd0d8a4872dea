/** sd_notify(3), received by a python as systemd would. */
import { readSync } from 'node:fs';

import { afterEach, expect, it, vi } from 'vitest';

import { command, endOf, native, outputOf, python } from './support.js';

afterEach(() => vi.unstubAllEnvs());

it('says nothing without a service manager', () => {
  vi.stubEnv('NOTIFY_SOCKET', undefined);
  expect(native.sdNotify('READY=1')).toBe(false);
});

it.each(['path', 'abstract'])('reaches a socket (%s)', async (kind) => {
  const address = kind === 'path' ? `/tmp/twinkle-notify-${process.pid}` : `@twinkle-notify-${process.pid}`;
  const script = [
    'import os, socket, sys',
    'name = sys.argv[1]',
    's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
    's.bind("\\0" + name[1:] if name[0] == "@" else name)',
    'os.write(5, b"!")',
    'data = s.recv(100)',
    'if name[0] == "/": os.unlink(name)',
    'sys.exit(0 if data == b"READY=1\\nSTATUS=up" else 1)',
  ].join('\n');
  const [from, to] = native.pipe();
  const pid = native.spawn(
    command(python, ['-c', script, address], {
      fds: [
        [5, to],
        [2, 2],
      ],
    }),
  );
  native.closeFd(to);
  readSync(from, Buffer.alloc(1));
  vi.stubEnv('NOTIFY_SOCKET', address);
  expect(native.sdNotify('READY=1\nSTATUS=up')).toBe(true);
  expect((await endOf(pid)).code).toBe(0);
  native.closeFd(from);
});

it('says when the service manager cannot be reached', async () => {
  vi.stubEnv('NOTIFY_SOCKET', '/nowhere/notify');
  expect(() => native.sdNotify('READY=1')).toThrow('sendto failed with ENOENT');
  vi.stubEnv('NOTIFY_SOCKET', 'relative');
  expect(() => native.sdNotify('READY=1')).toThrow('expected a path or @name');
  // Environment of a child is what it is given, not this process's.
  expect((await outputOf(command('printenv', ['NOTIFY_SOCKET'], { env: ['PATH=/usr/bin:/bin'] }))).exit.code).toBe(1);
});
