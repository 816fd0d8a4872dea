import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { Session } from './support.js';

let session: Session;
let python = '';
beforeEach(() => {
  session = new Session();
  python = session.python();
});
afterEach(() => rmSync(session.folder, { recursive: true }));

const serve = (...argv: string[]): Promise<number> =>
  session.run('serve', '--engine', 'mock', '--python', python, ...argv);

describe('a start', () => {
  test('configuration and Python reach the head; ready comes with a line to try; a signal drains; exit 0', async () => {
    const ended = serve('m', '-dp', '2', '--step-ms', '3', '--shutdown-timeout', '7');
    session.head.readiness.resolve();
    await session.saw('stdout', 'try:');
    expect(session.config?.models[0]).toMatchObject({ model: 'm', dataParallel: 2, engineArgs: { step_ms: 3 } });
    expect(session.options?.pythons.get('mock')).toMatchObject({ python, source: 'user' });
    expect(session.options?.ownProcess).toBe(true);
    expect(session.stdout).toMatch(
      /^ready http:\/\/127\.0\.0\.1:8123\ntry:\n {2}curl http:\/\/127\.0\.0\.1:8123\/v1\/chat\/completions /,
    );
    expect(session.stdout).toContain('"model":"m"');
    session.signals.emit('SIGTERM');
    expect(await session.head.draining.promise).toBe(7000);
    session.head.drained.resolve(true);
    expect(await ended).toBe(0);
    expect(session.head.closed).toBe(1);
    expect(session.signals.eventNames()).toEqual([]);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('a second %s ends at once with %i', async (signal, code) => {
    const ended = serve();
    session.head.readiness.resolve();
    await session.saw('stdout', 'ready');
    session.signals.emit('SIGTERM');
    await session.head.draining.promise;
    session.signals.emit(signal);
    expect(await ended).toBe(code);
    expect(session.head.closed).toBe(1);
  });

  test('a drain that had to cut requests is a forced end', async () => {
    const ended = serve();
    session.head.readiness.resolve();
    await session.saw('stdout', 'ready');
    session.signals.emit('SIGINT');
    session.head.drained.resolve(false);
    expect(await ended).toBe(130);
    expect(session.stderr).toContain('requests were cut');
  });

  test('a signal before it is ready ends it cleanly', async () => {
    const ended = serve();
    await session.head.asked.promise;
    session.signals.emit('SIGTERM');
    session.head.drained.resolve(true);
    expect(await ended).toBe(0);
    expect(session.stdout).toBe('');
    session.head.readiness.reject(new TwinkleError('DRAINING', 'closed'));
  });

  test('a start that fails, and a crash loop later, give their exit codes', async () => {
    const failed = serve();
    await session.head.asked.promise;
    session.head.readiness.reject(new TwinkleError('LOAD_FAILED', 'no weights'));
    expect(await failed).toBe(2);
    expect(session.stderr).toContain('error: no weights [LOAD_FAILED]');
    expect(session.head.closed).toBe(1);

    const other = new Session();
    const later = other.run('serve', '--engine', 'mock', '--python', other.python());
    other.head.readiness.resolve();
    await other.saw('stdout', 'ready');
    other.head.events.emit('fatal', new TwinkleError('GANG_FAILED', 'five restarts in 300 s'));
    expect(await later).toBe(5);
    expect(other.head.closed).toBe(1);
    rmSync(other.folder, { recursive: true });
  });

  test('a port in use says who has it', async () => {
    const { createServer } = await import('node:net');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    session.startError = new TwinkleError('PORT_IN_USE', `the address 127.0.0.1:${port} is taken`);
    expect(await serve('--port', String(port))).toBe(6);
    expect(session.stderr).toContain(`port ${port} is held by pid ${process.pid} (`);
    await new Promise((resolve) => server.close(resolve));
  });

  test('SIGUSR2 dumps the state', async () => {
    const ended = serve();
    session.head.readiness.resolve();
    await session.saw('stdout', 'ready');
    session.signals.emit('SIGUSR2');
    expect(session.stderr).toContain('"instance": "abc"');
    session.signals.emit('SIGTERM');
    session.head.drained.resolve(true);
    expect(await ended).toBe(0);
  });

  test('configuration errors start nothing', async () => {
    expect(await serve('--port', 'x')).toBe(2);
    expect(await serve('--gpus', '7')).toBe(4);
    expect(await serve('--config', 'none.yaml')).toBe(2);
    expect(session.stderr).toContain('there is no ');
    writeFileSync(join(session.folder, 'bad.yaml'), 'model: m\nprot: 1\n');
    expect(await serve('--config', 'bad.yaml')).toBe(2);
    expect(session.stderr).toContain('bad.yaml:2:1: unknown key `prot`; did you mean `port`?');
    expect(session.config).toBeNull();
  });

  test('--no-setup refuses with the command', async () => {
    expect(await session.run('serve', '--engine', 'mock', '--no-setup')).toBe(2);
    expect(session.stderr).toContain('npx twinkle-node setup --engine mock');
    expect(session.config).toBeNull();
  });
});

describe('--json', () => {
  test('prints events, one line each, and nothing else', async () => {
    const ended = serve('--json');
    await session.head.asked.promise;
    session.head.events.emit('progress', 'mock', { phase: 'weights', progress: 0.5, detail: '1 of 2', elapsedMs: 10 });
    session.head.events.emit('failed', 'mock', 'rank 0 was killed', '/incident');
    session.head.readiness.resolve();
    await session.saw('stdout', '"ready"');
    session.signals.emit('SIGTERM');
    session.head.drained.resolve(true);
    expect(await ended).toBe(0);
    expect(session.lines()).toEqual([
      { event: 'progress', model: 'mock', phase: 'weights', progress: 0.5, detail: '1 of 2', elapsed_ms: 10 },
      { event: 'failed', model: 'mock', reason: 'rank 0 was killed', incident: '/incident' },
      { event: 'ready', url: 'http://127.0.0.1:8123', model: 'mock', pid: process.pid },
      { event: 'draining', timeout_ms: 30_000 },
      { event: 'stopped', clean: true },
    ]);
    expect(session.stderr).toContain('mock: weights\n');
  });
});

describe('keys', () => {
  test('a generated key is printed once and kept; the curl line reads it from its file', async () => {
    const ended = serve('--host', '0.0.0.0');
    session.head.readiness.resolve();
    await session.saw('stdout', 'try:');
    const file = join(session.home, 'api-key');
    const key = readFileSync(file, 'utf8').trim();
    expect(session.stdout.split(key)).toHaveLength(2);
    expect(session.stdout).toContain(`-H "authorization: Bearer $(cat ${file})"`);
    expect(session.stderr).not.toContain(key);
    session.signals.emit('SIGTERM');
    session.head.drained.resolve(true);
    await ended;
  });

  test('a configured key appears nowhere', async () => {
    session.env.TWINKLE_API_KEY = 'sesame';
    const ended = serve();
    session.head.readiness.resolve();
    await session.saw('stdout', 'try:');
    expect(session.stdout).toContain('Bearer $TWINKLE_API_KEY');
    expect(session.stdout + session.stderr + JSON.stringify(session.config)).not.toContain('sesame');
    session.signals.emit('SIGTERM');
    session.head.drained.resolve(true);
    await ended;
  });
});

describe('--dry-run', () => {
  test('shows ranks, devices and environments, masks secrets, starts and writes nothing', async () => {
    session.env.HF_TOKEN = 'sesame';
    session.env.TWINKLE_API_KEY = 'sesame';
    session.env.HF_HOME = '/models';
    expect(await serve('-tp', '2', '-dp', '2', '--dry-run')).toBe(0);
    expect(session.stdout).toContain('replica 1 rank 1 of 2 on CPU');
    expect(session.stdout).toContain('HF_HOME=/models');
    expect(session.stdout).toContain('HF_TOKEN=***');
    expect(session.stdout).toContain('1 key');
    expect(session.stdout).not.toContain('sesame');
    expect(session.config).toBeNull();
    expect(existsSync(session.home)).toBe(false);
  });

  test('as JSON', async () => {
    expect(await serve('--dry-run', '--json', '--host', '0.0.0.0')).toBe(0);
    expect(session.lines()).toEqual([
      expect.objectContaining({
        event: 'plan',
        auth: { mode: 'keys', keys: 0 },
        groups: [expect.objectContaining({ name: 'mock/0', strategy: 'PACK', outcome: 'placed' })],
        ranks: [expect.objectContaining({ rank: 0, device: null })],
        pythons: { mock: python },
      }),
    ]);
    expect(existsSync(session.home)).toBe(false);
  });

  const plan = (): { groups: Record<string, unknown>[]; ranks: Record<string, unknown>[] } =>
    session.lines().find(({ event }) => event === 'plan') as never;
  const cluster = (text: string): string => {
    writeFileSync(join(session.folder, 'nodes.yaml'), text);
    return 'nodes.yaml';
  };

  test('on nodes of paper: groups, nodes, devices and environments, without a look at this machine', async () => {
    session.parts = { ...session.parts, native: () => Promise.reject(new Error('not in this test')) };
    const nodes = cluster(
      'nodes:\n  - {id: a, resources: {CPU: 8, GPU: 2, "accelerator_type:L4": 1}}\n' +
        '  - {id: b, resources: {CPU: 8, GPU: 2, "accelerator_type:L4": 1}}\n',
    );
    const shape = ['-tp', '2', '-pp', '2', '--accelerator-type', 'L4', '--dry-run', '--nodes', nodes];
    expect(await serve(...shape)).toBe(0);
    expect(session.stdout).toContain('group mock/0, PACK: placed');
    expect(session.stdout).toMatch(/0 +GPU 1, CPU 1, accelerator_type:L4 0\.001 +a +GPU:0/);
    expect(session.stdout).toContain('rank 3 of 4 on gpu 1 (GPU:1) of node b');
    session.stdout = '';
    expect(await serve(...shape, '--json')).toBe(0);
    expect(plan().groups).toMatchObject([{ name: 'mock/0', bundles: [{ node: 'a' }, {}, {}, { node: 'b' }] }]);
    expect(plan().ranks).toHaveLength(4);
    expect(session.config).toBeNull();
  });

  test('what has no place ends with 3 and a reason for each node, after the plan', async () => {
    const nodes = cluster('- {id: a, resources: {CPU: 8, GPU: 2}}\n- {id: b, resources: {CPU: 8}}\n');
    const config = '{"bundle_per_worker": {"GPU": 1}}';
    const shape = ['--placement-group-config', config, '--dry-run', '--nodes', nodes];
    expect(await serve('-dp', '3', ...shape)).toBe(3);
    expect(session.stdout).toContain('group mock/2, STRICT_PACK: pending');
    expect(session.stdout).toMatch(/^ +a +busy /m);
    expect(session.stdout).toMatch(/^ +b +infeasible /m);
    expect(session.stderr).toContain('[INFEASIBLE]');
    session.stdout = '';
    expect(await serve('-tp', '4', '--placement', 'STRICT_PACK', ...shape, '--json')).toBe(3);
    expect(plan().groups).toMatchObject([{ outcome: 'infeasible', nodes: [{ node: 'a' }, { node: 'b' }] }]);
  });

  test('this machine that cannot take it: 3, also for a start, before anything is made', async () => {
    const cpus = ['--num-cpus', '2', '--replica-cpus', '3'];
    expect(await serve(...cpus, '--dry-run')).toBe(3);
    expect(await serve(...cpus)).toBe(3);
    expect(session.config).toBeNull();
    expect(session.stderr).toContain('no place for mock/0: CPU ');
  });

  test('more ranks than CPUs share them', async () => {
    expect(await serve('-tp', '4', '--num-cpus', '2', '--dry-run', '--json')).toBe(0);
    expect(plan().groups).toMatchObject([{ bundles: new Array(4).fill({ resources: { CPU: 0.5 } }) }]);
  });

  test('nodes of paper are for plans: not for starts, not beside devices of this machine', async () => {
    const nodes = cluster('- {resources: {CPU: 1}}\n');
    expect(await serve('--nodes', nodes)).toBe(2);
    expect(session.stderr).toContain('add --dry-run');
    expect(await serve('--nodes', nodes, '--dry-run', '--gpus', '0')).toBe(2);
    expect(await serve('--nodes', 'none.yaml', '--dry-run')).toBe(2);
    expect(session.stderr).toContain('cannot read the nodes of none.yaml: there is no such file');
    expect(await serve('--nodes', cluster('- {resources: {CPU: 1}'), '--dry-run')).toBe(2);
    expect(await serve('--nodes', cluster('- {ressources: {CPU: 1}}\n'), '--dry-run')).toBe(2);
    expect(session.stderr).toContain('did you mean `resources`?');
  });
});
