/** A Python distribution with vLLM plugins in a folder for `PYTHONPATH`: how platforms such as vllm-ascend come to vLLM. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param module its name
 * @param source of the module
 * @param entryPoints lines of `entry_points.txt`
 */
export function writeVllmPlugin(folder: string, module: string, source: string, entryPoints: string): void {
  const info = join(folder, `${module}-1.0.dist-info`);
  mkdirSync(info, { recursive: true });
  writeFileSync(join(info, 'METADATA'), `Metadata-Version: 2.1\nName: ${module}\nVersion: 1.0\n`);
  writeFileSync(join(info, 'entry_points.txt'), entryPoints);
  writeFileSync(join(folder, `${module}.py`), source);
}
