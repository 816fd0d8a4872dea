/** `inspect`: the facts of a bug report, as Markdown to paste or as one JSON line. No keys, no prompts, no user names in it. */
import { existsSync, readdirSync } from 'node:fs';
import { cpus, homedir, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageVersion } from '../../config/package-root.js';
import { formatBytes } from '../../config/quantity.js';
import { asTwinkleError, EXIT } from '../../errors.js';
import { environmentsFolder, readEnvironment } from '../../python/cache.js';
import { maskSecret } from '../../runtime/plan.js';
import { askStatus } from '../admin.js';
import { homeFolder, runningInstances } from '../home.js';
import type { CliContext, CliIo, Handler } from '../io.js';

const VARIABLES =
  /^(TWINKLE_|CUDA_|NVIDIA_|ASCEND_|NCCL_|HCCL_|GLOO_|HF_|TRANSFORMERS_|VLLM_|OMP_|NODE_OPTIONS$|LOG_LEVEL$)/;
const SHOWN_INCIDENTS = 5;

/** See {@link Handler}. */
export const run: Handler = async (command, context) => {
  const { io } = context;
  const flags = command.opts<{ home?: string; json?: boolean }>();
  const home = homeFolder(flags.home, io);
  const facts = {
    versions: {
      'twinkle-node': packageVersion(),
      node: process.versions.node,
      os: `${process.platform} ${release()} ${process.arch}`,
    },
    machine: { cpu: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`, memory: formatBytes(totalmem()) },
    devices: await deviceFacts(context),
    pythons: pythonFacts(io),
    servers: await serverFacts(home),
    incidents: newestIncidents(home),
    environment: environmentFacts(io),
  };
  const tidy = (text: string): string => text.replaceAll(io.env.HOME || homedir(), '~');
  if (flags.json === true) io.stdout.write(`${tidy(JSON.stringify(facts))}\n`);
  else io.stdout.write(tidy(markdown(facts)));
  return EXIT.ok;
};

async function deviceFacts({ parts }: CliContext): Promise<unknown> {
  const broken = await parts.probeNative();
  if (broken !== null) return { addon: broken };
  try {
    const { devices, libraries } = (await parts.native()).devices();
    const libs = libraries.map(({ library, loaded, reason }) => `${library}: ${loaded ? 'loaded' : reason}`);
    return {
      devices: devices.map(({ kind, index, name, driverVersion, health }) => ({
        kind,
        index,
        name,
        driverVersion,
        health,
      })),
      libraries: libs,
    };
  } catch (error) {
    return { addon: asTwinkleError(error).message };
  }
}

function pythonFacts(io: CliIo): unknown {
  const envs = environmentsFolder(io.env);
  const names = existsSync(envs) ? readdirSync(envs) : [];
  const managed = names.flatMap((name) => {
    const found = readEnvironment(join(envs, name));
    return found === null ? [] : [{ name, versions: found.stamp.versions }];
  });
  return { own: io.env.TWINKLE_PYTHON ?? null, managed };
}

async function serverFacts(home: string): Promise<unknown[]> {
  return Promise.all(runningInstances(home).map(({ file }) => askStatus(file)));
}

function newestIncidents(home: string): string[] {
  const folder = join(home, 'incidents');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .sort()
    .slice(-SHOWN_INCIDENTS)
    .map((name) => join(folder, name));
}

function environmentFacts(io: CliIo): Record<string, string> {
  const names = Object.keys(io.env).filter((name) => VARIABLES.test(name));
  return Object.fromEntries(names.sort().map((name) => [name, maskSecret(name, io.env[name] ?? '')]));
}

function markdown(facts: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(facts).map(
    ([name, value]) => `### ${name}\n\n\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\`\n`,
  );
  return `${parts.join('\n')}\nPlease attach the incident files named above when they concern the bug.\n`;
}
