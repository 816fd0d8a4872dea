/** A head and boxes that join it over tcp, as users start them: two homes on one machine. */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { curveKeyPair } from 'zeromq';
import type { ClusterSnapshot } from '../../src/cluster/api.js';
import { groupSpec } from '../../src/cluster/group-spec.js';
import { type ClusterConnection, connectCluster } from '../../src/runtime/connect-cluster.js';
import { readToken, writeToken } from '../../src/runtime/join-token.js';
import { runCli } from '../support/cli.js';
import { FakeBox } from '../support/cluster-cli.js';
import { isAlive } from '../support/gang-kit.js';

const PATIENCE = { timeout: 20_000, interval: 20 };
const LOCAL = ['--port', '0', '--node-ip-address', '127.0.0.1'];
const ACROSS = groupSpec({
  name: 'across',
  lifetime: 'detached',
  strategy: 'STRICT_SPREAD',
  bundles: [{ GPU: 1 }, { GPU: 1 }],
});

const lineOf = ({ join: line }: { join?: string }): string => {
  if (line === undefined) throw new Error('the head printed no line');
  return line;
};
const tokenOf = (line: string): string => line.split(' ').at(-1) ?? '';
const addressOf = (line: string): string => line.split(' ')[4] ?? '';

async function stateOf(cluster: ClusterConnection, node: string): Promise<string | undefined> {
  return (await cluster.snapshot()).nodes.find(({ id }) => id === node)?.state;
}

async function groupOf(cluster: ClusterConnection): Promise<ClusterSnapshot['groups'][number] | undefined> {
  return (await cluster.snapshot()).groups.find(({ state }) => state !== 'REMOVED');
}

/** Every file below a folder, as text. */
function filesOf(folder: string): { readonly path: string; readonly text: string }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
}

describe('a box that joins', () => {
  it('is a node like the head: listed, given bundles; its own home knows where the head is; stop leaves nothing', async () => {
    await using headBox = new FakeBox('gpu:2');
    await using box = new FakeBox('gpu:4');
    const head = await headBox.start(...LOCAL);
    const line = lineOf(head);
    expect(line).toBe(`npx twinkle-node start --address ${head.address} --token ${tokenOf(line)}`);
    expect(head.address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await runCli(['token'], headBox.env)).toMatchObject({ code: 0, stdout: `${line}\n` });
    const agent = await box.join(line, '--num-gpus', '3');
    expect(agent.address).toBe(head.address);

    const nodes = await headBox.nodes();
    expect(nodes.map(({ state, address, resources }) => [state, address, resources.GPU])).toEqual([
      ['alive', '127.0.0.1', 2],
      ['alive', '127.0.0.1', 3],
    ]);
    expect(nodes[1]?.id).toBe(agent.node);
    await using cluster = await connectCluster({ home: headBox.home });
    const group = await cluster.createGroup(ACROSS);
    const { bundles } = await group.ready({ timeoutMs: 20_000 });
    expect(new Set(bundles.map(({ node }) => node))).toEqual(new Set(nodes.map(({ id }) => id)));

    const status = JSON.parse((await runCli(['status', '--json'], box.env)).stdout);
    expect(status).toMatchObject({
      kind: 'agent',
      pid: agent.pid,
      address: head.address,
      connected: true,
      node: { id: agent.node },
    });
    expect((await runCli(['status'], box.env)).stdout).toContain(`of the head at ${head.address}`);
    expect((await runCli(['status'], headBox.env)).stdout).toContain(head.address);
    for (const what of ['nodes', 'actors', 'placement-groups']) {
      const listed = await runCli(['list', what, '--json'], box.env);
      expect(listed).toMatchObject({ code: 0, stdout: '[]\n' });
      expect(listed.stderr).toContain(`it is an agent of the head at ${head.address}`);
    }
    const second = await runCli(['start', '--head'], box.env);
    expect(second.stderr).toContain(`an agent runs already in ${box.home}: ${agent.instance}, pid ${agent.pid}`);

    // The token is in the file of the keys' owner only, and in no list of processes.
    const token = tokenOf(line);
    const known = [...filesOf(headBox.home), ...filesOf(box.home)].filter(({ text }) => text.includes(token.slice(8)));
    expect(known).toEqual([]);
    expect(statSync(join(headBox.home, 'head', 'keys.json')).mode & 0o777).toBe(0o600);
    for (const pid of [head.pid, agent.pid]) {
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('tw1-');
    }

    await group.remove();
    expect((await runCli(['stop'], box.env)).stdout).toBe(`${agent.instance} (pid ${agent.pid}) has ended\n`);
    expect(await stateOf(cluster, agent.node)).toBe('dead');
    await runCli(['stop'], headBox.env);
    for (const each of [headBox, box]) {
      for (const folder of ['run', 'instances']) expect(readdirSync(join(each.home, folder))).toEqual([]);
    }
    expect([head.pid, agent.pid].filter(isAlive)).toEqual([]);
    expect(existsSync(join(headBox.home, 'head', 'peers'))).toBe(false);
  });

  it('that is killed is dead at once, and comes back as the same node', async () => {
    await using headBox = new FakeBox('gpu:1');
    await using box = new FakeBox('gpu:1');
    const line = lineOf(await headBox.start(...LOCAL));
    const first = await box.join(line);
    await using cluster = await connectCluster({ home: headBox.home });
    await (await cluster.createGroup(ACROSS)).ready({ timeoutMs: 20_000 });
    const killedMs = performance.now();
    process.kill(first.pid, 'SIGKILL');
    await expect.poll(() => stateOf(cluster, first.node), PATIENCE).toBe('dead');
    // By the end of its connection: silence would take two seconds.
    expect(performance.now() - killedMs).toBeLessThan(1500);
    expect(await groupOf(cluster)).toMatchObject({ state: 'RESCHEDULING' });
    const again = await box.join(line);
    expect(again.node).toBe(first.node);
    expect(again.pid).not.toBe(first.pid);
    expect(await stateOf(cluster, first.node)).toBe('alive');
    await expect.poll(async () => (await groupOf(cluster))?.state, PATIENCE).toBe('CREATED');
  });

  it('finds a head again that was killed and started at the same port', async () => {
    await using headBox = new FakeBox('gpu:1');
    await using box = new FakeBox('gpu:1');
    const head = await headBox.start(...LOCAL);
    const agent = await box.join(lineOf(head));
    {
      await using cluster = await connectCluster({ home: headBox.home });
      await (await cluster.createGroup(ACROSS)).ready({ timeoutMs: 20_000 });
    }
    await headBox.kill(head.pid);
    const connected = async (): Promise<unknown> =>
      JSON.parse((await runCli(['status', '--json'], box.env)).stdout).connected;
    await expect.poll(connected, PATIENCE).toBe(false);
    expect((await runCli(['status'], box.env)).stdout).toContain('not connected: ');
    const port = head.address.split(':')[1] ?? '';
    const again = await headBox.start('--port', port, '--node-ip-address', '127.0.0.1');
    expect(again.join).toBe(head.join);
    await using cluster = await connectCluster({ home: headBox.home });
    await expect.poll(() => stateOf(cluster, agent.node), PATIENCE).toBe('alive');
    await expect.poll(async () => (await groupOf(cluster))?.state, PATIENCE).toBe('CREATED');
    await expect.poll(connected, PATIENCE).toBe(true);
    expect(isAlive(agent.pid)).toBe(true);
  });
});

describe('a box that may not join', () => {
  const start = (box: FakeBox, ...words: string[]): ReturnType<typeof runCli> => runCli(['start', ...words], box.env);

  it('hears why: token of another head, garbled, missing; nobody there', async () => {
    await using headBox = new FakeBox('gpu:1');
    await using box = new FakeBox('gpu:1');
    const line = lineOf(await headBox.start(...LOCAL));
    const [address, token] = [addressOf(line), tokenOf(line)];
    const keys = readToken(token);
    const strange = [
      { ...keys, ...curveKeyPair() },
      { ...keys, serverKey: curveKeyPair().publicKey },
    ].map(writeToken);
    await using second = new FakeBox('gpu:1');
    const attempts = [box, second].map((one, at) => start(one, '--address', address, '--token', strange[at] ?? ''));
    for (const refused of await Promise.all(attempts)) {
      expect(refused.code).toBe(7);
      expect(refused.stderr).toContain(`what listens at ${address} does not let this box in`);
    }
    const last = token.at(-20) === 'A' ? 'B' : 'A';
    const typo = await start(box, '--address', address, '--token', `${token.slice(0, -20)}${last}${token.slice(-19)}`);
    expect(typo).toMatchObject({ code: 2 });
    expect(typo.stderr).toContain('a letter of it is wrong; copy the line that `npx twinkle-node token` prints');
    const without = await start(box, '--address', address);
    expect(without.stderr).toContain('expected `--token` or TWINKLE_JOIN_TOKEN');
    await runCli(['stop'], headBox.env);
    const away = await start(box, '--address', address, '--token', token);
    expect(away.code).toBe(7);
    expect(away.stderr).toContain(`nobody listens at ${address}`);
    expect(readdirSync(join(box.home, 'run'))).toEqual([]);
    expect(existsSync(join(box.home, 'instances'))).toBe(false);
  });

  it('since another is that node: its home was copied', async () => {
    await using headBox = new FakeBox('gpu:1');
    await using box = new FakeBox('gpu:1');
    await using copy = new FakeBox('gpu:1');
    const line = lineOf(await headBox.start(...LOCAL));
    const agent = await box.join(line);
    cpSync(join(box.home, 'agent'), join(copy.home, 'agent'), { recursive: true });
    const twin = await start(copy, '--address', addressOf(line), '--token', tokenOf(line));
    expect(twin.code).toBe(2);
    expect(twin.stderr).toContain(`joins as node ${agent.node}, which an agent (pid ${agent.pid}) is already`);
    cpSync(join(headBox.home, 'head', 'node-id'), join(copy.home, 'agent', 'node-id'));
    const usurper = await start(copy, '--address', addressOf(line), '--token', tokenOf(line));
    expect(usurper.stderr).toContain('which the head itself is already');
    expect((await headBox.nodes()).map(({ state }) => state)).toEqual(['alive', 'alive']);
  });

  it('flags that make no sense together, and a head that is for its own box alone', async () => {
    await using box = new FakeBox('gpu:1');
    const wrong = async (...words: string[]): Promise<string> => {
      const { code, stderr } = await start(box, ...words);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await wrong()).toContain('expected one of `--head`');
    expect(await wrong('--head', '--address', 'h:1')).toContain('not both');
    expect(await wrong('--head', '--token', 't')).toContain('say it with `--address`');
    expect(await wrong('--head', '--node-ip-address', '127.0.0.1')).toContain('expected `--port` beside');
    expect(await wrong('--head', '--port', '0', '--node-ip-address', '0.0.0.0')).toContain(
      'an IPv4 address of this box',
    );
    expect(await wrong('--head', '--port', '65536')).toContain('from 0 to 65535');
    expect(await wrong('--address', 'h', '--token', 't')).toContain('expected HOST:PORT');
    expect(await wrong('--address', 'h:1', '--token', 't', '--port', '1')).toContain('is the port of a head');
    const none = await runCli(['token'], box.env);
    expect(none.stderr).toContain(`no head runs in ${box.home}`);
    await box.start();
    const alone = await runCli(['token'], box.env);
    expect(alone.code).toBe(2);
    expect(alone.stderr).toContain(
      'is for this box alone: stop it, and start it with `twinkle-node start --head --port',
    );
  });

  it('as long as the head cannot listen: port taken, keys damaged', async () => {
    await using headBox = new FakeBox('gpu:1');
    await using other = new FakeBox('gpu:1');
    const { address } = await headBox.start(...LOCAL);
    const port = address.split(':')[1] ?? '';
    const taken = await start(other, '--head', '--port', port, '--node-ip-address', '127.0.0.1');
    expect(taken.code).toBe(6);
    expect(taken.stderr).toContain(`another process listens at \`${address}\``);
    expect(existsSync(join(other.home, 'head', 'peers'))).toBe(false);
    const path = join(other.home, 'head', 'keys.json');
    writeFileSync(path, '{');
    const damaged = await start(other, '--head', ...LOCAL);
    expect(damaged.code).toBe(2);
    expect(damaged.stderr).toContain(`${path} has no keys that can be read (it is no JSON): put a copy of it back`);
  });
});
