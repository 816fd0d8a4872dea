/** The templates of a head: one for all models whose ranks begin alike, so that the libraries are imported, and lie in memory, once. */
import { join } from 'node:path';
import type { EngineName } from '../config/types.js';
import type { Native } from '../native/types.js';
import type { PythonRuntime, RankLauncher } from '../supervisor/launcher.js';
import type { ProcessWatcher } from '../supervisor/process-watcher.js';
import { TemplateLauncher } from '../supervisor/template-launcher.js';

interface Shared {
  readonly engine: EngineName;
  readonly launcher: RankLauncher;
  readonly models: string[];
}

export class WarmPool {
  readonly #shared = new Map<string, Shared>();

  /** @param logFolder gets `template-<engine>.log`, and `template-<engine>-2.log` … where models of an engine begin differently */
  constructor(
    private readonly native: Native,
    private readonly watcher: ProcessWatcher,
    private readonly logFolder: string,
  ) {}

  /**
   * What launches the ranks of a model. Models of one engine, one interpreter and one environment have the same: nothing else of a model is
   * known to a template but which code to import. To be asked for all models before the first template starts.
   */
  launcher(engine: EngineName, python: PythonRuntime, model: string): RankLauncher {
    const variables = Object.entries(python.env).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([engine, python.python, python.parentDeathSignal, variables]);
    const known = this.#shared.get(key);
    if (known !== undefined) {
      if (!known.models.includes(model)) known.models.push(model);
      return known.launcher;
    }
    const alike = [...this.#shared.values()].filter((other) => other.engine === engine).length;
    const log = join(this.logFolder, `template-${engine}${alike === 0 ? '' : `-${alike + 1}`}.log`);
    const models = [model];
    const launcher = new TemplateLauncher(this.native, this.watcher, python, { engine, models, log });
    this.#shared.set(key, { engine, launcher, models });
    return launcher;
  }
}
