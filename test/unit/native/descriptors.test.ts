/** Descriptors that a child inherits or receives. */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';

import { describe, expect, it } from 'vitest';

import { command, endOf, native, outputOf, python } from './support.js';

const listOpen = [
  'import os',
  'folder = os.open("/proc/self/fd", os.O_RDONLY)',
  'print(sorted({int(name) for name in os.listdir(folder)} - {folder, folder + 1}))',
].join('\n');

describe('inherited descriptors', () => {
  it('are exactly those asked for', async () => {
    const file = openSync('/dev/zero', 'r');
    const { text } = await outputOf(command(python, ['-c', listOpen], { fds: [[40, file]] }));
    expect(text).toBe('[0, 1, 2, 40]\n');
    closeSync(file);
  });

  it('may have numbers that are sources of others', async () => {
    const [a, aIn] = native.pipe();
    const [b, bIn] = native.pipe();
    writeSync(aIn, 'A');
    writeSync(bIn, 'B');
    const script = `import os; print(os.read(${a}, 1) + os.read(${b}, 1) + os.read(${b + 100}, 0))`;
    // A swap, and one source under two numbers.
    const { text } = await outputOf(
      command(python, ['-c', script], {
        fds: [
          [a, b],
          [b, a],
          [b + 100, a],
        ],
      }),
    );
    expect(text).toBe("b'BA'\n");
    for (const fd of [a, aIn, b, bIn]) native.closeFd(fd);
  });

  it('tell of the death of their holder: a death pipe', async () => {
    const [read, write] = native.pipe();
    const script = 'import os, sys; sys.exit(3 if os.read(9, 1) == b"" else 4)';
    const pid = native.spawn(command(python, ['-c', script], { fds: [[9, read]] }));
    native.closeFd(read);
    native.closeFd(write);
    expect((await endOf(pid)).code).toBe(3);
  });
});

describe('sendFds', () => {
  it('hands a descriptor with its bytes to a python', async () => {
    const [here, there] = native.socketPair();
    const [read, write] = native.pipe();
    const script = [
      'import os, socket',
      's = socket.socket(fileno=5)',
      'data, fds, _, _ = socket.recv_fds(s, 1024, 4)',
      'os.write(fds[0], b"got " + data)',
      'print(len(fds), os.read(fds[1], 4))',
    ].join('\n');
    const [extra, extraIn] = native.pipe();
    writeSync(extraIn, 'more');
    native.sendFds(here, new TextEncoder().encode('{"id":1}\n'), [write, extra]);
    native.closeFd(write);
    const { text, exit } = await outputOf(command(python, ['-c', script], { fds: [[5, there]] }));
    expect(exit.code).toBe(0);
    expect(text).toBe("2 b'more'\n");
    expect(readFileSync(read, 'utf8')).toBe('got {"id":1}\n');
    for (const fd of [here, there, read, extra, extraIn]) native.closeFd(fd);
  });

  it('refuses what cannot go in one piece, sending nothing', () => {
    const [here, there] = native.socketPair();
    expect(() => native.sendFds(here, new Uint8Array(0), [])).toThrow('at least 1 byte');
    expect(() => native.sendFds(here, new Uint8Array(1 << 20), [])).toThrow('EMSGSIZE');
    expect(() => native.sendFds(here, new Uint8Array(1), [9999])).toThrow('descriptor 9999');
    expect(() => native.sendFds(here, 'x' as unknown as Uint8Array, [])).toThrow('expected a Uint8Array');
    const block = new Uint8Array(20_000).fill(1);
    let sent = 0;
    expect(() => {
      for (; sent < 100; sent += 1) native.sendFds(here, block, []);
    }).toThrow('EAGAIN');
    expect(sent).toBeGreaterThan(0);
    const buffer = Buffer.alloc(1 << 21);
    let received = 0;
    while (received < sent * block.length) received += readSync(there, buffer, 0, buffer.length, null);
    expect(received).toBe(sent * block.length);
    native.sendFds(here, block, []);
    native.closeFd(there);
    expect(() => native.sendFds(here, block, [])).toThrow('the peer closed its end');
    native.closeFd(here);
    expect(() => native.closeFd(here)).toThrow('EBADF');
  });
});

describe('listenSocket', () => {
  it('is accepted by the python that inherits it, and never by Node', async () => {
    const bound = native.listenSocket('127.0.0.1', 0, 16);
    expect(bound.host).toBe('127.0.0.1');
    const script = [
      'import socket',
      's = socket.socket(fileno=6)',
      'assert s.getblocking()',
      'for _ in range(20):',
      '    with s.accept()[0] as peer:',
      '        peer.sendall(b"python " + peer.recv(100))',
    ].join('\n');
    const pid = native.spawn(
      command(python, ['-c', script], {
        fds: [
          [6, bound.fd],
          [2, 2],
        ],
      }),
    );
    native.closeFd(bound.fd);
    const { connect } = await import('node:net');
    for (let i = 0; i < 20; i += 1) {
      const answer = await new Promise<string>((resolve, reject) => {
        const socket = connect(bound.port, '127.0.0.1', () => socket.write(`call ${i}`));
        socket.on('data', (data) => resolve(data.toString()));
        socket.on('error', reject);
      });
      expect(answer).toBe(`python call ${i}`);
    }
    expect((await endOf(pid)).code).toBe(0);
  });

  it('refuses a taken port, a foreign address and nonsense', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    expect(() => native.listenSocket('127.0.0.1', port, 1)).toThrow(`bind failed with EADDRINUSE`);
    await new Promise((resolve) => server.close(resolve));
    expect(() => native.listenSocket('192.0.2.1', 0, 1)).toThrow('is not an address of this host');
    expect(() => native.listenSocket('127.0.0.1', 70_000, 1)).toThrow('from 0 to 65535 for `port`');
  });
});

describe('routeTo', () => {
  it('names the loopback interface', () => {
    expect(native.routeTo('127.0.0.1')).toEqual({ interface: 'lo', sourceAddress: '127.0.0.1' });
  });
  it('wants an address', () => {
    expect(() => native.routeTo('example.invalid')).toThrow('expected an IP address');
  });
});
