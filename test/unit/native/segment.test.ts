/** Shared segments: the same pages here and in Python, limits, and what happens after close. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { TwinkleError } from '../../../src/errors.js';
import { addonPath, command, endOf, native, outputOf, python } from './support.js';

const options = { name: 'test', size: 100_000, lock: false, register: 'none' } as const;

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (thrown) {
    return thrown instanceof TwinkleError ? thrown.code : `foreign error ${String(thrown)}`;
  }
  return 'nothing thrown';
}

describe('a segment', () => {
  it('is the same memory in Node and in a python that inherits it', async () => {
    const segment = native.segmentCreate(options);
    const bytes = new Uint8Array(segment.buffer());
    expect(bytes.length).toBe(segment.size);
    bytes.set([1, 2, 3], 5000);
    const script = [
      'import mmap',
      `m = mmap.mmap(7, ${segment.size})`,
      'print(list(m[5000:5003]))',
      'm[0:4] = b"back"',
    ].join('\n');
    const { text } = await outputOf(command(python, ['-c', script], { fds: [[7, segment.fd]] }));
    expect(text).toBe('[1, 2, 3]\n');
    expect(Buffer.from(bytes.subarray(0, 4)).toString()).toBe('back');
    segment.close();
  });

  it('made by a python arrives by its descriptor', async () => {
    const [here, there] = native.socketPair();
    const script = [
      'import fcntl, mmap, os, socket',
      'fd = os.memfd_create("from-python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)',
      'os.ftruncate(fd, 8192)',
      'mmap.mmap(fd, 8192)[0:5] = b"hello"',
      'socket.send_fds(socket.socket(fileno=5), [b"x"], [fd])',
    ].join('\n');
    const received = [
      'import os, socket, sys',
      'data, fds, _, _ = socket.recv_fds(socket.socket(fileno=5), 1, 1)',
      'print(os.readlink(f"/proc/self/fd/{fds[0]}"))',
    ].join('\n');
    const pid = native.spawn(
      command(python, ['-c', script], {
        fds: [
          [5, there],
          [2, 2],
        ],
      }),
    );
    expect((await endOf(pid)).code).toBe(0);
    // Node cannot receive descriptors, but a segment of ours can be opened twice by its own.
    expect((await outputOf(command(python, ['-c', received], { fds: [[5, here]] }))).text).toContain(
      'memfd:from-python',
    );
    for (const fd of [here, there]) native.closeFd(fd);
  });

  it('opened again by descriptor shares pages and outlives the first', () => {
    const first = native.segmentCreate(options);
    const [read] = native.pipe();
    expect(() => native.segmentOpen(read, 'pipe')).toThrow('expected a memfd');
    const copy = Number(execFileSync('sh', ['-c', 'echo 0']).toString()) + first.fd;
    expect(copy).toBe(first.fd);
    new Uint8Array(first.buffer())[0] = 42;
    expect(readFileSync('/proc/self/maps', 'utf8')).toContain('memfd:test');
    first.close();
    expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('memfd:test');
    native.closeFd(read);
  });

  it('empties its views on close, and closes twice', () => {
    const segment = native.segmentCreate(options);
    const { fd } = segment;
    const buffer = segment.buffer();
    expect(segment.buffer()).toBe(buffer);
    const view = new Float32Array(buffer, 64, 16);
    segment.close();
    segment.close();
    expect(view.length).toBe(0);
    expect(buffer.byteLength).toBe(0);
    expect(segment.fd).toBe(-1);
    expect(codeOf(() => segment.buffer())).toBe('SEGMENT_CLOSED');
    expect(codeOf(() => native.arena(segment))).toBe('SEGMENT_CLOSED');
    expect(() => native.closeFd(fd)).toThrow('EBADF');
  });

  it('unmaps when JavaScript forgets it', () => {
    const script = `
      const addon = require(${JSON.stringify(addonPath)});
      const mapped = () => require('node:fs').readFileSync('/proc/self/maps', 'utf8').includes('memfd:forgotten');
      (() => { new Uint8Array(addon.segmentCreate({ name: 'forgotten', size: 1 << 20, lock: false, register: 'none' }).buffer())[0] = 1; })();
      if (!mapped()) process.exit(2);
      let left = 1000;
      (function again() {
        globalThis.gc();
        if (!mapped()) process.exit(0);
        if (left-- === 0) process.exit(1);
        setImmediate(again);
      })();`;
    execFileSync(process.execPath, ['--expose-gc', '-e', script], { stdio: 'inherit' });
  });
});

describe('sizes and names', () => {
  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1.5, 2 ** 60])('refuses %s bytes', (size) => {
    expect(() => native.segmentCreate({ ...options, size })).toThrow('for `size`');
  });

  it('says what there is when memory is short', () => {
    const size = native.cpu().memoryTotalBytes * 4;
    try {
      native.segmentCreate({ ...options, size });
      expect.unreachable();
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'SHM_FULL', details: { needBytes: Math.ceil(size / 4096) * 4096 } });
    }
  });

  it('refuses names that the kernel would not show', () => {
    expect(() => native.segmentCreate({ ...options, name: '' })).toThrow('for `name`');
    expect(() => native.segmentCreate({ ...options, name: 'a/b' })).toThrow('for `name`');
    expect(() => native.segmentCreate({ ...options, register: 'rocm' as 'cuda' })).toThrow('none, cuda or acl');
  });
});

describe('locking', () => {
  it('locks within the limit', () => {
    const segment = native.segmentCreate({ ...options, size: 4096, lock: true });
    expect(segment.locked).toBe(true);
    segment.close();
  });

  it('says limit and need when RLIMIT_MEMLOCK forbids it', () => {
    const script = `
      const addon = require(${JSON.stringify(addonPath)});
      try { addon.segmentCreate({ name: 'a', size: 1 << 20, lock: true, register: 'none' }); }
      catch (error) { console.log(JSON.stringify([error.code, error.message, error.details, addon.memlockLimit()])); }`;
    // CAP_IPC_LOCK overrides the limit: drop it (24 = PR_CAPBSET_DROP) before exec. Without the right to, we have none anyway.
    const start = [
      'import ctypes, os, resource, sys',
      'ctypes.CDLL(None).prctl(24, 14, 0, 0, 0)',
      'resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))',
      'os.execv(sys.argv[1], sys.argv[1:])',
    ].join('\n');
    const text = execFileSync(python, ['-c', start, process.execPath, '-e', script], { encoding: 'utf8' });
    const [code, message, details, limit] = JSON.parse(text) as [string, string, object, object];
    expect(code).toBe('MEMLOCK_LIMIT');
    expect(message).toContain('RLIMIT_MEMLOCK is 65536 bytes; raise it');
    expect(details).toEqual({ needBytes: 1 << 20, limitBytes: 65536 });
    expect(limit).toEqual({ softBytes: 65536, hardBytes: 65536 });
  });
});
