/** The commands beside `serve`, as somebody uses them on a running server: over pipes, without a terminal. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliEnd, CliServer, MAIN, runCli } from '../support/cli.js';
import { isAlive, killProcess } from '../support/gang-kit.js';
import { post, untilMetric } from '../support/http.js';

const MOCK = ['mock', '--engine', 'mock'];

describe('with a server of two replicas', () => {
  let server: CliServer;
  let env: Record<string, string>;
  beforeAll(async () => {
    server = await CliServer.ready([...MOCK, '-dp', '2', '-tp', '2', '--served-model-name', 'tiny']);
    env = { TWINKLE_HOME: server.home, COLUMNS: '100' };
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });
  const cli = (...args: string[]): Promise<CliEnd> => runCli(args, env);

  it('`status` is a table: one line a rank, its pid, replica and state', async () => {
    const { code, stdout, stderr } = await cli('status');
    expect([code, stderr]).toEqual([0, '']);
    const [head = '', columns = '', ...rows] = stdout.trimEnd().split('\n');
    expect(head).toMatch(new RegExp(`^[0-9a-f]{12}  ready  ${server.url}  pid ${server.pid}  since `));
    expect(columns.trim().split(/ {2,}/)).toEqual([
      'MODEL',
      'REPLICA',
      'STATE',
      'RANK',
      'PID',
      'DEVICES',
      'IN FLIGHT',
      'RESTARTS',
      'NOTE',
    ]);
    const cells = rows.map((row) => row.trim().split(/ {2,}/));
    expect(cells.map(([model, replica, state, rank]) => `${model} ${replica} ${state} ${rank}`)).toEqual([
      'tiny tiny/0 ready 0',
      'tiny tiny/0 ready 1',
      'tiny tiny/1 ready 0',
      'tiny tiny/1 ready 1',
    ]);
    expect(cells.map(([, , , , pid]) => isAlive(Number(pid)))).toEqual([true, true, true, true]);
    // Columns stand under their headings.
    for (const row of rows) expect(row.slice(columns.indexOf('STATE'))).toMatch(/^ready /);
    expect(Math.max(...rows.map((row) => row.length))).toBeLessThanOrEqual(100);
    expect(stdout).not.toContain('\u001b');
  });

  it('`status` counts requests and restarts, and names the failure until all is well', async () => {
    const [victim = 0] = await server.rankPids();
    killProcess(victim, 'SIGKILL');
    await untilMetric(server.url, 'twinkle_gang_restarts_total', 1);
    expect((await post(`${server.url}/v1/completions`, { prompt: 'go', max_tokens: 2 })).status).toBe(200);
    const failed = await server.event('failed');
    expect(failed).toMatchObject({ model: 'tiny', reason: expect.stringMatching(/rank \d .*SIGKILL/) });
    await server.event('recovered');
    const rows = (await cli('status')).stdout.split('\n').filter((row) => row.includes('tiny/'));
    expect(rows.map((row) => row.trim().split(/ {2,}/).slice(6, 8).join())).toEqual(
      expect.arrayContaining(['0,0', '0,0', '0,1', '0,1']),
    );
    const incident = await cli('inspect');
    expect(incident.stdout).toContain(String(failed.incident).replace(process.env.HOME ?? '/nowhere', '~'));
  });

  it('`logs` shows ranks by number, prefixed by file, readable, cut to -n', async () => {
    const lead = await cli('logs', '--rank', '0', '-n', '1');
    const lines = lead.stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.split(' | ')[0])).toEqual(['tiny-0-rank0', 'tiny-1-rank0']);
    expect(lines.every((line) => /\| ==== \d{4}-.*rank 0 epoch \d/.test(line))).toBe(true);
    const all = (await cli('logs', '-n', '2')).stdout;
    expect(all).toMatch(
      /^head \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO gang_state gang=tiny\/\d epoch=\d state=ready/m,
    );
    expect(all).toMatch(/^tiny-1-rank1 \| /m);
    const none = await cli('logs', '--rank', '7');
    expect(none.stderr).toMatch(/no log fits in .*there are .*tiny-0-rank0\.log/);
    expect(none.code).toBe(2);
  });

  it('`logs -f` goes on as they grow and ends with 0 on Ctrl-C', async () => {
    const child = spawn(process.execPath, [MAIN, 'logs', '-f', '-n', '1'], { env: { ...process.env, ...env } });
    const ended = once(child, 'close');
    const seen = new Promise<string>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        // The first line says that it follows; what comes then is new.
        if (line.startsWith('head |') && line.includes('gang_failed')) resolve(line);
      });
    });
    await once(child.stdout, 'data');
    const [victim = 0] = await server.rankPids();
    killProcess(victim, 'SIGKILL');
    expect(await seen).toMatch(/ERROR gang_failed .*SIGKILL/);
    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  });

  it('`doctor` ends with 0 and says what to do; with the code of what fails otherwise', async () => {
    const { code, stdout } = await cli('doctor', '--json', '--port', String(Number(new URL(server.url).port)));
    const findings = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(findings.find(({ check }) => check === 'port')).toMatchObject({
      level: 'ok',
      message: expect.stringContaining('our own server'),
    });
    expect(findings.find(({ check }) => check === 'addon')).toMatchObject({ level: 'ok' });
    expect(findings.filter(({ level, fix }) => level === 'warn' && !fix)).toEqual([]);
    const elsewhere = await runCli(['doctor', '--port', new URL(server.url).port], {
      TWINKLE_HOME: join(server.home, 'x'),
    });
    expect(elsewhere.stdout).toMatch(new RegExp(`^FAIL {2}port \\d+ is held by pid ${server.pid} .*\\n {6}→ `, 'm'));
    expect(elsewhere.code).toBe(6);
  });

  it('`list devices` shows exactly the devices that are there, and why a library is not in use', async () => {
    const { stdout } = await runCli(['list', 'devices'], { TWINKLE_FAKE_DEVICES: 'npu:2' });
    expect(stdout.match(/^npu [01] /gm)).toHaveLength(2);
    expect((await cli('list', 'devices')).stdout).toMatch(/^cpu: .*CPUs [\d,-]+/m);
  });

  it('`stop` ends it, leaving no process, and then there is nothing to stop', async () => {
    const pids = [server.pid, ...(await server.rankPids())];
    const { code, stdout } = await cli('stop');
    expect(stdout).toMatch(new RegExp(`^[0-9a-f]{12} \\(pid ${server.pid}\\) has ended\\n$`));
    expect(code).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(await server.ended).toMatchObject({ code: 0 });
    expect((await cli('stop')).stdout).toContain('nothing runs');
    expect((await cli('status')).stdout).toContain('nothing runs');
    // Its logs are still there to read.
    expect((await cli('logs', '--rank', '1', '-n', '1')).stdout).toContain('rank 1 epoch');
  });
});

describe('without a server', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinkle-tour-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('`inspect` holds no secret and no home folder', async () => {
    const env = {
      TWINKLE_HOME: join(folder, 'home'),
      TWINKLE_API_KEY: 'tml-very-secret',
      HF_TOKEN: 'hf_very_secret',
      TWINKLE_PORT: '8123',
    };
    for (const args of [['inspect'], ['inspect', '--json']]) {
      const { code, stdout } = await runCli(args, env);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/very.secret/);
      expect(stdout).toContain('8123');
      expect(stdout).not.toContain(`${process.env.HOME}/`);
    }
  });

  it('help fits a terminal and names every command', async () => {
    const { stdout } = await runCli(['--help']);
    for (const command of [
      'serve',
      'status',
      'runs',
      'logs',
      'stop',
      'setup',
      'doctor',
      'list',
      'inspect',
      'completion',
    ]) {
      expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
    }
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('bash completes commands, flags and choices with the script that `completion bash` prints', async () => {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'twinkle-node'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
    chmodSync(join(bin, 'twinkle-node'), 0o755);
    const complete = async (...words: string[]): Promise<string[]> => {
      const script = `
        source <(twinkle-node completion bash)
        COMP_WORDS=(${['twinkle-node', ...words].map((word) => `'${word}'`).join(' ')})
        COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
        COMP_LINE="\${COMP_WORDS[*]}"; COMP_POINT=\${#COMP_LINE}
        handler=$(complete -p twinkle-node | sed -E 's/.*-F ([^ ]+).*/\\1/')
        "$handler" twinkle-node "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', script], {
        env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
      });
      return stdout
        .trim()
        .split('\n')
        .map((word) => word.trim());
    };
    expect(await complete('st')).toEqual(expect.arrayContaining(['status', 'stop']));
    expect(await complete('serve', '--tensor')).toContain('--tensor-parallel-size');
    expect(await complete('serve', '--engine', '')).toEqual(['vllm', 'transformers', 'mock']);
    expect(await complete('serve', '--engine', '=')).toEqual(['vllm', 'transformers', 'mock']);
    expect(await complete('serve', '--engine', '=', 'mo')).toEqual(['mock']);
    expect(await complete('setup', '--wheel')).toEqual(['--wheelhouse']);
    expect(await complete('serve', 'nothing-of-this-name')).toEqual(['']);
    // What was typed is passed on, never run.
    await complete('serve', `$(touch ${join(folder, 'ran')})`, '--po');
    expect(existsSync(join(folder, 'ran'))).toBe(false);
  });
});
