/** A client of the Tinker SDK: a script of test/e2e/clients in a process of its own, with a key and without a network. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { DEMO_MODEL, PACKAGE_ROOT } from '../../src/config/package-root.js';
import { testPython } from './pythons.js';

export interface TinkerClient {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  /** Exit code and signal. */
  readonly ended: Promise<unknown[]>;
}

/** What Python is given to run a script of test/e2e/clients: see run_client.py there. */
export function clientScript(script: string): readonly [runner: string, script: string] {
  const folder = join(PACKAGE_ROOT, 'test', 'e2e', 'clients');
  return [join(folder, 'run_client.py'), join(folder, script)];
}

/** @param args after the server's url and the demo model's folder */
export async function tinkerClient(script: string, url: string, ...args: readonly string[]): Promise<TinkerClient> {
  const env = { ...process.env, TINKER_API_KEY: 'tml-0123456789abcdef', HF_HUB_OFFLINE: '1' };
  const child = spawn(await testPython(), [...clientScript(script), url, DEMO_MODEL, ...args], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  return { child, ended: once(child, 'exit') };
}
