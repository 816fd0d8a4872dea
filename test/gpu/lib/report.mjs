/** The report of a step: machine, checks, figures, as JSON in $OUT. A check that fails or throws does not stop the others. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { smiDevices } from './smi.mjs';

/** The interpreter with torch, transformers, pyzmq and msgspec. */
export const PYTHON = process.env.TWINKLE_PYTHON ?? 'python3';

/** Set while a step is written on a box without a GPU: what only a device can show is then named as not checked. */
export const FAKE_DEVICES = process.env.TWINKLE_FAKE_DEVICES || null;

const VERSIONS =
  'import json,sys,torch,transformers;print(json.dumps({"prefix":sys.prefix,"python":sys.version.split()[0],"torch":torch.__version__,"cuda":torch.version.cuda,"transformers":transformers.__version__}))';

function machine() {
  const gpus = FAKE_DEVICES === null ? smiDevices() : [];
  const [gpu] = gpus;
  return {
    device: gpu?.name ?? FAKE_DEVICES,
    devices: gpus.length,
    driver: gpu?.driverVersion,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    ...JSON.parse(execFileSync(PYTHON, ['-c', VERSIONS], { encoding: 'utf8' })),
  };
}

/** Results are kept in the repository: folders of this machine get names instead. */
function tidy(text, prefix) {
  const folders = [
    [process.env.PATH, '$PATH'],
    [process.cwd(), '.'],
    [prefix, '<python>'],
    [process.env.HOME, '~'],
    [tmpdir(), '$TMPDIR'],
  ];
  return folders.reduce((clean, [folder, name]) => (folder ? clean.replaceAll(folder, name) : clean), text);
}

export class Report {
  #checks = [];
  #figures = {};
  #machine = null;
  #started = performance.now();

  constructor(name) {
    this.name = name;
  }

  /** Say that something holds, with what was seen. */
  check(what, holds, seen = null) {
    this.#checks.push({ what, holds, seen });
    console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${seen === null ? '' : ` ${JSON.stringify(seen)}`}`);
    this.write();
  }

  /** Keep a figure. */
  figure(name, value) {
    this.#figures[name] = value;
    console.log(`     ${name}: ${JSON.stringify(value)}`);
    this.write();
  }

  /** What only a device can show: run `look` there, and say that it was not checked elsewhere. */
  async onDevice(what, look) {
    if (FAKE_DEVICES === null) await look();
    else this.figure(what, 'not checked: the devices are fake');
  }

  /** Run one part; what it throws is a failed check. */
  async part(what, run) {
    console.log(`---- ${what}`);
    try {
      await run();
    } catch (error) {
      this.check(what, false, String(error?.stack ?? error).slice(0, 2000));
    }
  }

  /** Written after every entry, so that a step that is cut off leaves what it had. */
  write() {
    const folder = process.env.OUT ?? 'bench/results';
    mkdirSync(folder, { recursive: true });
    this.#machine ??= machine();
    const { prefix, ...facts } = this.#machine;
    const seconds = Math.round((performance.now() - this.#started) / 100) / 10;
    const body = {
      at: new Date().toISOString(),
      machine: facts,
      seconds,
      checks: this.#checks,
      figures: this.#figures,
    };
    writeFileSync(join(folder, `${this.name}.json`), `${tidy(JSON.stringify(body, null, 2), prefix)}\n`);
  }

  /** Exit code of the step. */
  end() {
    this.write();
    process.exitCode = this.#checks.every(({ holds }) => holds) ? 0 : 1;
  }
}

/** Median of numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
