/** A head's life at its edges: starts that are broken off, drains without a limit, doors that do not close. */
import { linkSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CreateServerOptions, Server } from '../../src/runtime/embed.js';
import { createServer } from '../../src/runtime/embed.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-head-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

const start = (options: CreateServerOptions = {}): Promise<Server> =>
  createServer({ model: 'mock', engine: 'mock', home, port: 0, ...options });

const ofServer = (server: Server): number[] => processesWithEnv('TWINKLE_INSTANCE', server.status().instance);

describe('a head', () => {
  it('drains without a limit: waits for what runs', async () => {
    await using server = await start({ engineArgs: { step_ms: 5 } });
    const stream = server.generate({ prompt: 'go', maxTokens: 20 });
    await stream.next();
    const drained = server.drain(Number.POSITIVE_INFINITY);
    let pieces = 1;
    for await (const piece of stream) pieces += piece.token_ids.length;
    expect(pieces).toBe(20);
    expect(await drained).toBe(true);
  });

  it('gives a start up that was aborted before anybody listened for it', async () => {
    const reason = new Error('changed my mind');
    const controller = new AbortController();
    const quiet = { trace() {}, debug() {}, warn() {}, error() {}, fatal() {} };
    // The first word of a head's log comes while it starts.
    const logger = { ...quiet, info: () => controller.abort(reason) } as unknown as CreateServerOptions['logger'] & {};
    await expect(start({ logger, signal: controller.signal, engineArgs: { load_ms: 600_000 } })).rejects.toBe(reason);
  });

  it('leaves no server behind when its instance file cannot be written', async () => {
    writeFileSync(join(home, 'instances'), 'a file where a folder should be');
    const doors = (): number => process.getActiveResourcesInfo().filter((name) => /Server|Pipe/.test(name)).length;
    const before = doors();
    await expect(start()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    // Handles go a turn of the loop after they were closed.
    await vi.waitUntil(() => doors() <= before);
    expect(readdirSync(join(home, 'run'))).toEqual([]);
  });

  it('ends its processes although a door does not close, and says what was wrong', async () => {
    const server = await start();
    expect(ofServer(server)).toHaveLength(1);
    const file = join(home, 'instances', `${server.status().instance}.json`);
    rmSync(file);
    mkdirSync(file);
    await expect(server.close()).rejects.toThrow(/director/i);
    expect(ofServer(server)).toEqual([]);
    expect(readdirSync(join(home, 'run'))).toEqual([]);
  });

  it('takes over the socket of a server that was killed, and no other', async () => {
    const uds = join(home, 'api.sock');
    const killed = createSocket();
    await new Promise<void>((resolve) => killed.listen(uds, resolve));
    linkSync(uds, join(home, 'kept'));
    await new Promise((resolve) => killed.close(resolve));
    renameSync(join(home, 'kept'), uds);
    const serve = (): Promise<Server> => createServer({ model: 'mock', engine: 'mock', home, uds });
    await using server = await serve();
    expect(server.url).toBe(`unix:${uds}`);
    await expect(serve()).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  });

  it('takes no descriptor with it, however often one starts and ends', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    const once = async (): Promise<void> => await (await start()).close();
    await once(); // what is opened once and kept: epolls, the reaper
    const before = open();
    for (let times = 0; times < 3; times++) await once();
    await vi.waitUntil(() => open() <= before + 1); // one to spare for what the process itself does
  });

  it('ends what no gang knows of', async () => {
    const server = await start();
    const { instance } = server.status();
    const { spawn } = await import('node:child_process');
    // What an engine's helper looks like that forked from a template: the instance in its environment, no gang.
    const stray = spawn('sleep', ['600'], { env: { ...process.env, TWINKLE_INSTANCE: instance }, detached: true });
    const ended = new Promise((resolve) => stray.once('exit', (_, signal) => resolve(signal)));
    await server.close();
    expect(await ended).toBe('SIGKILL');
  });
});
