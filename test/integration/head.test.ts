/** A head's life at its edges: starts that are broken off, drains without a limit, doors that do not close. */
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LlmConfigInput } from '../../src/config/llm-config-types.js';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import type { TwinkleError } from '../../src/errors.js';
import type { CreateServerOptions, Server } from '../../src/runtime/embed.js';
import { createServer } from '../../src/runtime/embed.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { deferred } from '../../src/util/deferred.js';
import { testPython } from '../support/pythons.js';

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

  describe('that gives a model up says to its embedder how the rank ended and what it said last', () => {
    it('when it never came up', async () => {
      // An interpreter that dies before it can connect: what a missing library does.
      const words = ['first line', 'libdevice.so.3: cannot open shared object file'];
      const dies = `import os\nif 'TWINKLE_LAUNCH' in os.environ:\n  os.write(2, b'${words.join('\\n')}\\n')\n  os._exit(127)\n`;
      writeFileSync(join(home, 'sitecustomize.py'), dies);
      const failed = vi.fn();
      const starting = start({ env: { ...process.env, PYTHONPATH: home }, crashLoopLimit: 2, on: { failed } });
      const error = await starting.catch((thrown: unknown) => thrown);
      const reason = expect.stringMatching(/^rank 0 \(pid \d+\) exited with code 127$/);
      expect(error).toMatchObject({ code: 'GANG_FAILED', message: expect.stringContaining('exited with code 127') });
      const { details } = error as TwinkleError;
      const [, , incident] = failed.mock.lastCall ?? [];
      const log = join(home, 'logs', readdirSync(join(home, 'logs'))[0] ?? '', 'mock-0-rank0.log');
      expect(details).toEqual({
        ...{ gang: 'mock/0', epoch: 2, rank: 0, kind: 'exit', reason },
        ...{ incident, log, lastWords: words },
      });
      expect(failed).toHaveBeenCalledTimes(2);
      expect(JSON.parse(readFileSync(incident as string, 'utf8'))).toMatchObject({ epoch: 2, log });
    });

    it('when it cannot be loaded', async () => {
      await expect(start({ engineArgs: { fault: 'error@load' } })).rejects.toMatchObject({
        code: 'LOAD_FAILED',
        details: { gang: 'mock/0', epoch: 1, rank: 0, kind: 'load', reason: 'scripted fault: error@load' },
      });
    });

    it('when it breaks later, and clients hear none of that', async () => {
      const fatal = deferred<Error>();
      const on = { fatal: (error: Error) => fatal.resolve(error) };
      await using server = await start({ engineArgs: { fault: 'error@token:1' }, crashLoopLimit: 1, on, noAuth: true });
      const ask = () =>
        fetch(`${server.url}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"model":"mock","prompt":"go"}',
        });
      await ask();
      const words = expect.arrayContaining(['RuntimeError: scripted fault: error@token:1']);
      expect(await fatal.promise).toMatchObject({ code: 'GANG_FAILED', details: { epoch: 1, lastWords: words } });
      const answer = await ask();
      expect([answer.status, await answer.text()]).toEqual([503, expect.not.stringContaining('RuntimeError')]);
    });
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

  it('imports an engine once for all models whose ranks begin alike', async () => {
    const model = (id: string, env_vars: Record<string, string> = {}): LlmConfigInput => ({
      model_loading_config: { model_id: id, model_source: DEMO_MODEL },
      llm_engine: 'transformers',
      runtime_env: { env_vars },
    });
    const llmConfigs = [model('a'), model('b'), model('c', { REGION: 'west' })];
    await using server = await createServer({ home, listen: false, llmConfigs, python: await testPython() });
    const ranks = server.models().flatMap(({ replicas }) => replicas.flatMap((replica) => replica.ranks));
    expect(ranks).toHaveLength(3);
    const templates = ofServer(server).filter((pid) => !ranks.some((rank) => rank.pid === pid));
    const regions = templates.map((pid) => readFileSync(`/proc/${pid}/environ`, 'utf8').includes('REGION=west'));
    expect(regions.sort()).toEqual([false, true]);
    const { log } = ranks[0] ?? { log: '' };
    const logs = readdirSync(dirname(log)).filter((name) => name.startsWith('template-'));
    expect(logs.sort()).toEqual(['template-transformers-2.log', 'template-transformers.log']);
    for (const { names } of server.models()) {
      let text = '';
      for await (const piece of server.generate({ model: names[0] ?? '', prompt: 'Once', maxTokens: 4 }))
        text += piece.text;
      expect(text).not.toBe('');
    }
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
