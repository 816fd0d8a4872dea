/** `place` as users run it: what a cluster of Ray did, replayed by the built command, and what-ifs with their exit codes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import type { ReplayResult } from '../../src/scheduler/replay.js';
import { MAIN } from '../support/cli.js';
import { recordedCases } from '../support/placement-cases.js';
import { judgeReplay } from '../support/replay-judge.js';

const FIXTURE = join(PACKAGE_ROOT, 'test', 'fixtures', 'ray-2.60-placement.jsonl');

interface Line {
  readonly case: string;
  readonly result: Record<string, ReplayResult>;
}

function place(args: readonly string[], input = '', env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'place', ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  return { status, stdout, stderr };
}

const parsed = (stdout: string): Line[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

describe('place --replay', () => {
  let lines: Line[];
  beforeAll(() => {
    const { status, stdout, stderr } = place(['--replay', FIXTURE]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    lines = parsed(stdout);
  });

  it('answers every case in order, with a result for every operation that makes something', () => {
    const recorded = recordedCases();
    expect(recorded.length).toBe(134);
    expect(lines.map((line) => line.case)).toEqual(recorded.map((one) => one.case));
    for (const [index, { ops }] of recorded.entries()) {
      const made = ops.filter(({ op }) => op === 'create' || op === 'occupy').map(({ id }) => id);
      expect(Object.keys(lines[index]?.result ?? {})).toEqual(made);
    }
  });

  it('does in every case what is legal in the state that it has made', () => {
    const wrong = recordedCases().flatMap((recorded, index) =>
      judgeReplay(recorded, lines[index]?.result ?? {}).map((text) => `${recorded.case}: ${text}`),
    );
    expect(wrong).toEqual([]);
    const late = lines.flatMap(({ result }) => Object.values(result)).filter((one) => 'late' in one);
    expect(late.length).toBeGreaterThan(3);
  });

  it('judges: a legal answer that is bent is found', () => {
    const recorded = recordedCases();
    const at = recorded.findIndex(({ case: name }) => name === 'homo2x2#2');
    const result = (lines[at] as Line).result;
    const bent = { ...result, p0: { ...result.p0, m: [0, 1, 0, 1] } } as Record<string, ReplayResult>;
    expect(judgeReplay(recorded[at] as (typeof recorded)[number], bent).join()).toMatch(/p0: .* is not among/);
  });

  it('reads standard input, and names the line that is wrong after answering those before', () => {
    const one = { case: 'a', nodes: [{ res: { CPU: 1 } }], ops: [] };
    const good = JSON.stringify(one);
    expect(place(['--replay', '-'], `${good}\n\n${good}`)).toMatchObject({
      status: 0,
      stdout: '{"case":"a","result":{}}\n{"case":"a","result":{}}\n',
    });
    const cut = place(['--replay', '-'], `${good}\n${good.slice(0, -3)}\n${good}\n`);
    expect(cut).toMatchObject({ status: 2, stdout: '{"case":"a","result":{}}\n' });
    expect(cut.stderr).toMatch(/standard input:2: expected a JSON object/);
    const bad = place(['--replay', '-'], JSON.stringify({ ...one, ops: [{ op: 'remove', id: 'x' }] }));
    expect(bad.stderr).toMatch(/standard input:1: expected the id of an earlier operation for `ops\[0\].id`/);
  });

  it('ends quietly when its reader has had enough', async () => {
    const child = spawn('sh', ['-c', `"$0" "$1" place --replay - | head -n 2`, process.execPath, MAIN], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    // It stops reading, too: that is the point.
    child.stdin.on('error', () => {});
    for (let repeat = 0; repeat < 20; repeat++)
      child.stdin.write(
        `${recordedCases()
          .map((one) => JSON.stringify(one))
          .join('\n')}\n`,
      );
    child.stdin.end();
    await once(child, 'close');
    expect(stdout.trim().split('\n')).toHaveLength(2);
    expect(stderr).toBe('');
  });
});

describe('place', () => {
  let folder: string;
  let nodes: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinkle-place-'));
    nodes = join(folder, 'nodes.yaml');
    writeFileSync(nodes, '- {id: gpu, count: 2, resources: {CPU: 8, GPU: 4}, links: [[0, 2], [1, 3]]}\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('shows where bundles go, and why they do not, with the exit codes of both', () => {
    const good = place(['--bundles', '[{"GPU":1}]*2', '--nodes', nodes, '--tensor-parallel', '2', '--explain']);
    expect(good).toMatchObject({ status: 0, stderr: '' });
    expect(good.stdout).toMatch(/^placed {2}PACK, 2 bundles on 1 of 2 nodes$/m);
    expect(good.stdout).toMatch(/^0 +gpu-0 +GPU 0 +GPU 1$/m);
    expect(good.stdout).toMatch(/^1 +gpu-0 +GPU 2 +GPU 1$/m);
    expect(good.stdout).toMatch(/1 pair by NVLink/);
    const wait = place([
      '--bundles',
      '[{"GPU":3}]',
      '--nodes',
      nodes,
      '--busy',
      'gpu-0={"GPU":2}',
      '--busy',
      'gpu-1={"GPU":4}',
    ]);
    expect(wait).toMatchObject({ status: 3, stderr: '' });
    expect(wait.stdout).toMatch(/^pending.*\nNODE.*\ngpu-0 +busy .*\ngpu-1 +busy .*\nIt waits: it is placed/m);
    expect(place(['--bundles', '[{"GPU":5}]', '--nodes', nodes]).stdout).toMatch(/^infeasible/);
  });

  it('takes this machine where no nodes are named', () => {
    const { status, stdout } = place(['--bundles', '[{"GPU":1}]*8', '--json'], '', { TWINKLE_FAKE_DEVICES: 'gpu:8' });
    expect(status).toBe(0);
    expect(JSON.parse(stdout).bundles[7]).toMatchObject({
      node: 'this-machine',
      devices: [{ resource: 'GPU', instance: 7, uuid: 'GPU-fake-0007', quantity: 1 }],
    });
  });

  it('refuses 100,000 bundles at once', () => {
    const started = performance.now();
    const repeated = place(['--bundles', '[{"GPU":1}]*100000', '--nodes', nodes]);
    expect(repeated.status).toBe(2);
    expect(repeated.stderr).toMatch(/at most 10000 bundles/);
    const ops = [{ op: 'create', id: 'p', strategy: 'PACK', bundles: new Array(100_000).fill({ GPU: 1 }) }];
    const written = place(['--replay', '-'], JSON.stringify({ case: 'big', nodes: [{ res: { GPU: 1 } }], ops }));
    expect(written.status).toBe(2);
    expect(written.stderr).toMatch(/at most 10000 bundles/);
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});
