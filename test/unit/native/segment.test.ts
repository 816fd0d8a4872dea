/** Shared segments: the same pages here and in Python, limits, and what happens after close. */
import { execFileSync } from 'node:child_process';
import { openSync, readFileSync, readSync } from 'node:fs';

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

  it('may be made by a python', async () => {
    const [from, to] = native.pipe();
    const [hold, release] = native.pipe();
    const script = [
      'import mmap, os',
      'fd = os.memfd_create("from-python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)',
      'os.ftruncate(fd, 8192)',
      'memory = mmap.mmap(fd, 8192)',
      'memory[0:5] = b"hello"',
      'os.write(6, str(fd).encode())',
      'os.read(7, 1)',
      'os._exit(memory[0])',
    ].join('\n');
    const pid = native.spawn(
      command(python, ['-c', script], {
        fds: [
          [6, to],
          [7, hold],
          [2, 2],
        ],
      }),
    );
    const buffer = Buffer.alloc(16);
    const theirs = buffer.toString('utf8', 0, readSync(from, buffer, 0, 16, null));
    const segment = native.segmentOpen(openSync(`/proc/${pid}/fd/${theirs}`, 'r+'), 'theirs');
    expect(segment.size).toBe(8192);
    const bytes = Buffer.from(segment.buffer());
    expect(bytes.toString('utf8', 0, 5)).toBe('hello');
    bytes[0] = 33;
    segment.close();
    for (const fd of [from, to, hold, release]) native.closeFd(fd);
    expect((await endOf(pid)).code).toBe(33);
  });

  it('opened twice shares pages, and each closes for itself', () => {
    const first = native.segmentCreate(options);
    const second = native.segmentOpen(openSync(`/proc/self/fd/${first.fd}`, 'r+'), 'again');
    new Uint8Array(first.buffer())[0] = 42;
    first.close();
    expect(new Uint8Array(second.buffer())[0]).toBe(42);
    expect(readFileSync('/proc/self/maps', 'utf8')).toContain('memfd:test');
    second.close();
    expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('memfd:test');
  });

  it("is not opened over what is no memfd, and the descriptor stays the caller's", () => {
    const [read, write] = native.pipe();
    expect(() => native.segmentOpen(read, 'pipe')).toThrow('expected a memfd');
    expect(() => native.segmentOpen(9999, 'closed')).toThrow('EBADF');
    for (const fd of [read, write]) native.closeFd(fd);
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
