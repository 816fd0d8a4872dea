import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { fastify } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { createServer } from '../../src/index.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { createMockServer } from '../../src/testing.js';
import { testPython } from '../support/pythons.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-embed-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

async function textOf(pieces: AsyncIterable<{ text: string }>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece.text;
  return text;
}

describe('embedding', () => {
  it('generates in process, twice in one process, and leaves nothing', async () => {
    const signals = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
    const instances: string[] = [];
    {
      await using one = await createMockServer({ home, listen: false });
      await using two = await createMockServer({ home, listen: false });
      instances.push(one.status().instance, two.status().instance);
      expect(one.url).toBeNull();
      const [a, b] = await Promise.all(
        [one, two].map((server) => textOf(server.generate({ prompt: 'go', maxTokens: 9 }))),
      );
      expect(a).toBe(b);
      expect(a?.split(' ')).toHaveLength(9);
    }
    expect(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')).toBe(signals);
    for (const instance of instances) {
      expect(processesWithEnv('TWINKLE_INSTANCE', instance).filter((pid) => pid !== process.pid)).toEqual([]);
    }
    expect(readdirSync(join(home, 'run'))).toEqual([]);
  });

  it('ends the work of an iterator that is left, and of one whose signal aborts', async () => {
    await using server = await createMockServer({ home, listen: false, stepMs: 5, maxNumSeqs: 1 });
    for await (const piece of server.generate({ prompt: 'go', maxTokens: 4000 })) {
      expect(piece.text).not.toBe('');
      break;
    }
    const controller = new AbortController();
    const pieces = server.generate({ prompt: 'go', maxTokens: 4000, signal: controller.signal });
    await pieces.next();
    controller.abort();
    await expect(textOf(pieces)).rejects.toMatchObject({ code: 'ABORTED' });
    // The only slot is free again.
    expect(await textOf(server.generate({ prompt: 'go', maxTokens: 2 }))).not.toBe('');
  });

  it('mounts its routes under a prefix and leaves the host as it was', async () => {
    await using server = await createMockServer({ home, listen: false });
    const app = fastify();
    app.setErrorHandler((_error, _request, reply) => reply.code(500).send({ mine: true }));
    app.get('/fails', () => {
      throw new Error('of the host');
    });
    await app.register(server.plugin, { prefix: '/llm' });
    const models = await app.inject('/llm/v1/models');
    expect(models.json()).toMatchObject({ data: [{ id: 'mock' }] });
    expect((await app.inject('/v1/models')).statusCode).toBe(404);
    expect((await app.inject('/fails')).json()).toEqual({ mine: true });
    const answer = await app.inject({
      method: 'POST',
      url: '/llm/v1/completions',
      payload: { model: 'mock', prompt: 'go', max_tokens: 2 },
    });
    expect(answer.json()).toMatchObject({ usage: { completion_tokens: 2 } });
    await app.close();
  });

  it('uses fake devices that it was given, and refuses others', async () => {
    await using server = await createMockServer({ home, fakeDevices: 'gpu:4', gpus: '1,3', tensorParallelSize: 2 });
    const [model] = server.models();
    expect(model?.replicas[0]?.ranks.map(({ devices }) => devices[0]?.startsWith('GPU-fake'))).toEqual([true, true]);
    await expect(createMockServer({ home, fakeDevices: 'gpu:1', gpus: '0-3' })).rejects.toMatchObject({
      code: 'DEVICE_MISSING',
    });
  });

  it('leaves nothing behind when the start fails', async () => {
    await expect(createMockServer({ home, loadMs: 0, fault: 'error@load' })).rejects.toMatchObject({
      code: 'LOAD_FAILED',
    });
    expect(readdirSync(join(home, 'instances'))).toEqual([]);
    expect(readdirSync(join(home, 'run'))).toEqual([]);
    await expect(createServer({ home, engin: 'mock' } as never)).rejects.toThrow(/did you mean `engine`/);
  });

  it('ends a start that its signal aborts', async () => {
    const controller = new AbortController();
    const starting = createMockServer({
      home,
      loadMs: 60_000,
      signal: controller.signal,
      on: { progress: () => controller.abort(new Error('enough')) },
    });
    await expect(starting).rejects.toThrow('enough');
    expect(readdirSync(join(home, 'run'))).toEqual([]);
  });

  it('runs the examples of the docs', async () => {
    const example = join(PACKAGE_ROOT, 'docs', 'examples', 'embed.mjs');
    const env = { ...process.env, TWINKLE_HOME: home, PORT: '0' };
    const { stdout } = await promisify(execFile)(process.execPath, [example, 'mock', 'mock'], { env });
    expect(stdout.trim().split(' ')).toHaveLength(64);
    const mount = spawn(process.execPath, [join(PACKAGE_ROOT, 'docs', 'examples', 'mount.mjs'), 'mock', 'mock'], {
      env,
    });
    const [line] = await once(createInterface({ input: mount.stdout }), 'line');
    const models = await fetch(String(line).replace('curl ', ''));
    expect(await models.json()).toMatchObject({ data: [{ id: 'mock' }] });
    mount.kill('SIGTERM');
    expect(await once(mount, 'exit')).toEqual([0, null]);
    const actors = [join(PACKAGE_ROOT, 'docs', 'examples', 'actors.mjs'), await testPython()];
    const said = await promisify(execFile)(process.execPath, actors, { env });
    expect(said.stdout).toBe('[ 1, 4, 9 ]\n35\n35\n34\n33\n');
  });
});
