import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { pythonFor } from '../support/pythons.js';

/** Node has no datagram unix sockets: a service manager's ear in Python. */
const LISTENER = `
import socket, sys
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(repr(ear.recv(4096).decode()), flush=True)
`;

it('tells a service manager its phases, that it is ready and that it stops', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-notify-'));
  const path = join(folder, 'notify');
  const manager = spawn(await pythonFor('mock'), ['-c', LISTENER, path]);
  const lines: string[] = [];
  const reader = createInterface({ input: manager.stdout });
  reader.on('line', (line) => lines.push(line));
  await once(reader, 'line');
  const server = await CliServer.ready(['mock', '--engine', 'mock'], { NOTIFY_SOCKET: path });
  const { url } = server;
  await server[Symbol.asyncDispose]();
  while (!lines.some((line) => line.includes('STOPPING=1'))) await once(reader, 'line');
  expect(lines.some((line) => line.includes('STATUS=mock: weights'))).toBe(true);
  expect(lines.findIndex((line) => line.includes(`READY=1\\nSTATUS=serving on ${url}`))).toBeGreaterThan(0);
  expect(lines.at(-1)).toContain('STOPPING=1');
  manager.kill('SIGKILL');
  await once(manager, 'exit');
  rmSync(folder, { recursive: true, force: true });
});
