import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FIXTURES, model, sampler } from '../config/twinkle/support.js';
import { Session } from './support.js';

let session: Session;
let python = '';
beforeEach(() => {
  session = new Session();
  python = session.python();
  // What a start does not do yet would be warned of.
  write((FIXTURES.get('tests-mock.yaml') ?? '').replace(/mode: file\n *file_path: .*/, 'mode: memory'));
});
afterEach(() => rmSync(session.folder, { recursive: true }));

const write = (text: string): void => writeFileSync(join(session.folder, 's.yaml'), text);
const serve = (...argv: string[]): Promise<number> =>
  session.run('serve', '--config', 's.yaml', '--python', python, ...argv);

describe('--dry-run by the file of a Twinkle Server', () => {
  test('as JSON: groups and ranks of what is served and of what is trained', async () => {
    expect(await serve('--dry-run', '--json')).toBe(0);
    const [plan, ...others] = session.lines();
    expect(others).toEqual([]);
    expect(plan).toMatchObject({
      event: 'plan',
      http: { host: '127.0.0.1', port: 8000 },
      models: [{ servedNames: ['mock-model'] }],
      trained: [{ name: 'mock-model', ranks: 1 }],
      groups: [
        { name: 'mock-model/0', outcome: 'placed' },
        { name: 'mock-model/train/0', outcome: 'placed' },
      ],
      ranks: [
        { model: 'mock-model', rank: 0 },
        { model: 'mock-model/train', rank: 0 },
      ],
      pythons: { mock: python },
    });
    expect((plan as { groups: unknown[] }).groups).toHaveLength(2);
    expect(session.config).toBeNull();
  });

  test('for people: what is trained, and by how many', async () => {
    write(model('backend: mock').replace('device_type: cuda', 'device_type: CPU'));
    expect(await serve('--dry-run')).toBe(0);
    expect(session.stdout).toMatch(/^trained a\/b +a\/b, engine mock, 2 ranks$/m);
    expect(session.stdout).toMatch(/^group a\/b\/train\/0, PACK: placed$/m);
    expect(session.stdout).toContain('a/b/train replica 0 rank 1 of 2 on CPU');
    // The only engine is that of the ranks that train.
    expect(session.stdout).toContain('python (mock)');
  });

  test('shows no passwords of the file', async () => {
    const env = 'ray_actor_options: {runtime_env: {env_vars: {HF_TOKEN: s3cret, PLAIN: word}}}';
    const file = model('backend: mock').replace('device_type: cuda', 'device_type: CPU');
    write(
      `persistence: {mode: redis, redis_url: "redis://user:s3cret@h:1/0", key_prefix: "p:"}\n${file}    deployments: [{name: M, ${env}}]\n`,
    );
    for (const flags of [['--json'], []]) expect(await serve('--dry-run', ...flags)).toBe(0);
    write(
      `${sampler('ranks: 1, device_type: CPU', 'dp_size: 1').replace('vllm', 'mock')}    deployments: [{name: S, ${env}}]\n`,
    );
    expect(await serve('--dry-run', '--json')).toBe(0);
    expect(session.stdout).toContain('"servedNames":["a/b"]');
    expect(session.stdout).not.toContain('s3cret');
    expect(session.stdout).toContain('"envVars":{"HF_TOKEN":"***","PLAIN":"word"}');
  });

  test('what has no place beside the other: 3, with its name', async () => {
    write(model('backend: mock'));
    expect(await serve('--dry-run', '--json')).toBe(3);
    expect(session.stderr).toContain('a/b/train/0');
    expect(session.lines()[0]).toMatchObject({ groups: [{ name: 'a/b/train/0', outcome: 'infeasible' }] });
  });
});

describe('a start by the file of a Twinkle Server', () => {
  test('serves nothing where nothing is sampled from: no line to try', async () => {
    write(model('backend: mock').replace('device_type: cuda', 'device_type: CPU'));
    const ended = serve();
    session.head.readiness.resolve();
    await session.saw('stdout', 'ready');
    session.signals.emit('SIGTERM');
    session.head.drained.resolve(true);
    expect(await ended).toBe(0);
    expect(session.stdout).toBe('ready http://127.0.0.1:8123\n');
    expect(session.config?.trained).toMatchObject([{ name: 'a/b', engine: 'mock' }]);
    // Its ranks' Python is made ready all the same.
    expect(session.options?.pythons.get('mock')).toMatchObject({ python });
  });

  test('takes the flags of a server, and none that describe a model', async () => {
    expect(await serve('--engine', 'mock')).toBe(2);
    expect(session.stderr).toContain('`applications` describes the models, and `--engine` one of its own');
    expect(await serve('--train-full')).toBe(2);
    expect(session.stderr).toContain('`--train-full` for all; leave one out');
    expect(session.config).toBeNull();
  });
});
