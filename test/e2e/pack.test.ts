import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';

const run = promisify(execFile);

it('the packed package, installed into an empty folder, serves', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-pack-'));
  try {
    const packed = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: PACKAGE_ROOT });
    const [{ filename, files }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('['))) as [
      { filename: string; files: { path: string }[] },
    ];
    const paths = files.map(({ path }) => path);
    expect(paths).toContain('dist/native/linux-x64/twinkle.node');
    expect(paths).toContain('python-workers/twinkle_worker/rank.py');
    expect(paths.filter((path) => /^(test|bench|build|\.ci)\/|__pycache__|python-workers\/tests/.test(path))).toEqual(
      [],
    );
    writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true}');
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, filename)], {
      cwd: folder,
    });
    const script = `
      import { createMockServer } from 'twinkle-node/testing';
      const server = await createMockServer({ home: process.argv[1] });
      const answer = await fetch(server.url + '/v1/completions', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"model":"mock","prompt":"go","max_tokens":3}' });
      console.log(JSON.stringify(await answer.json()));
      await server.close();`;
    const answer = await run(process.execPath, ['--input-type=module', '-e', script, join(folder, 'home')], {
      cwd: folder,
    });
    expect(JSON.parse(answer.stdout)).toMatchObject({ usage: { completion_tokens: 3 } });
    const help = await run('npx', ['twinkle-node', '--version'], { cwd: folder });
    expect(help.stdout).toMatch(/^\d+\.\d+\.\d+/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
