/** vLLM without us, to compare with: `vllm.LLM` in a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { testPython } from './pythons.js';

export interface PlainChats {
  readonly model: string;
  readonly max_model_len: number;
  /** Messages of each chat. */
  readonly chats: readonly (readonly object[])[];
  /** Sampling parameters, as vLLM names them, of each chat. */
  readonly sampling: readonly object[];
}

/** Token ids of each answer. */
export async function plainChats(job: PlainChats): Promise<number[][]> {
  const workers = join(PACKAGE_ROOT, 'python-workers');
  const script = join(workers, 'tests', 'vllm', 'plain_llm.py');
  const running = promisify(execFile)(await testPython('vllm'), [script], {
    env: { ...process.env, PYTHONPATH: workers },
  });
  running.child.stdin?.end(JSON.stringify(job));
  const { stdout } = await running;
  const line = stdout.split('\n').find((one) => one.startsWith('tokens:'));
  if (line === undefined) throw new Error(`no tokens from plain vLLM: ${stdout}`);
  return JSON.parse(line.slice('tokens:'.length));
}
