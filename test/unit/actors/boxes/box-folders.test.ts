/** Folders of `runtime_env` for workers of other boxes: brought from the head, which was given them. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RuntimeEnv } from '../../../../src/protocol/work.js';
import { BoxesKit } from '../boxes-kit.js';
import { demandOf, type PlayedClient, refusal, until } from '../played-client.js';

const ZIP = Buffer.alloc(3 * 1024 * 1024, 'what is in it');
const KEY = createHash('sha256').update(ZIP).digest('hex');

/** Give it to whoever the client asks. */
async function give(client: PlayedClient): Promise<void> {
  await client.ask('folder.put', { key: KEY, at: 0, last: false }, [ZIP.subarray(0, 1000)]);
  await client.ask('folder.put', { key: KEY, at: 1000, last: true }, [ZIP.subarray(1000)]);
}

/** A worker at that node that runs in the folder; each number is work of its own. */
const demand = (node: string, number = 0, folder = KEY) => {
  const runtime_env: RuntimeEnv = { packages: [], options: [], stamp: '', folder, modules: [] };
  return demandOf({ CPU: 1 }, { strategy: 'node', node, env: { NUMBER: String(number) }, runtime_env });
};

describe('a folder that a client gave the head', () => {
  it('is brought to another box once, for all whose workers start there at once', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await kit.head.driver();
    await give(driver);
    let asked = 0;
    const path = kit.folderPath;
    kit.folderPath = (key) => {
      asked += 1;
      return path(key);
    };
    await Promise.all([0, 1, 2].map((number) => driver.ask('lease', demand('n1', number))));
    const there = join(far.folder, 'code', KEY);
    expect(readFileSync(join(there, 'zip')).equals(ZIP)).toBe(true);
    for (const { client } of far.workers) {
      expect((await client.hear('setup')).params).toMatchObject({ cwd: there, first_path: [there] });
    }
    await driver.ask('lease', demand('n1', 3));
    expect(asked).toBe(1);
    expect(readdirSync(join(far.folder, 'code'))).toEqual([KEY]);
  });

  it('on another box is with the head, and used on a third', async () => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    const driver = await far.driver();
    expect((await driver.ask('folder.has', { key: KEY })).value).toBe(false);
    await give(driver);
    expect((await driver.ask('folder.has', { key: KEY })).value).toBe(true);
    await driver.ask('lease', demand('n2'));
    expect(existsSync(join(third.folder, 'code', KEY))).toBe(true);
    expect(existsSync(join(far.folder, 'code'))).toBe(false);
  });

  it('that cannot be brought is refused with the reason, leaves nothing, and may be had the next time', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await kit.head.driver();
    await give(driver);
    const path = kit.folderPath;
    kit.folderPath = () => join(kit.head.folder, 'nothing-there');
    const all = await Promise.allSettled([0, 1].map((number) => driver.ask('lease', demand('n1', number))));
    for (const one of all) expect(one).toMatchObject({ reason: refusal('STORAGE_FAILED') });
    expect(readdirSync(join(far.folder, 'code'))).toEqual([]);
    expect(await kit.free('n1')).toBe(4);
    kit.folderPath = path;
    await driver.ask('lease', demand('n1'));
    expect(far.workers).toHaveLength(1);
  });

  it('is not looked for where nobody gave it', async () => {
    await using kit = await BoxesKit.open();
    await kit.join('n1');
    const driver = await kit.head.driver();
    await expect(driver.ask('lease', demand('n1'))).rejects.toMatchObject(refusal('RUNTIME_ENV'));
  });

  it('goes with the head while it is brought: the worker is looked for by who is still there', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await kit.head.driver();
    await give(driver);
    const asked = driver.ask('lease', { ...demand('n1'), soft: true });
    await until(() => far.fromHead.methods.includes('work.take'));
    await far.lose();
    expect((await asked).value).toMatchObject({ node: 'n0' });
    rmSync(far.folder, { recursive: true, force: true });
  });
});
