/** Shows the plan of `serve --dry-run`. Keys are never in it: a configuration holds only hashes, and those are left out. */
import type { CompiledConfig } from '../../config/compile.js';
import type { PlannedRank } from '../../runtime/plan.js';
import type { CliIo } from '../io.js';
import { table } from '../render/table.js';

/** What is shown. */
export interface PlanView {
  readonly compiled: CompiledConfig;
  readonly ranks: readonly PlannedRank[];
  /** Engine → interpreter, or what a start would do about it. */
  readonly pythons: Readonly<Record<string, string>>;
}

/** Write the plan to stdout: one JSON line, or tables. */
export function showPlan(view: PlanView, io: CliIo, json: boolean): void {
  const { config, origins } = view.compiled;
  const auth = { mode: config.auth.mode, keys: config.auth.keyHashes.length };
  if (json) {
    const plan = { ...config, auth, ranks: view.ranks, pythons: view.pythons, origins };
    io.stdout.write(`${JSON.stringify({ event: 'plan', ...plan })}\n`);
    return;
  }
  const { http } = config;
  const facts = [
    [
      'listen',
      http.uds === null
        ? `http://${http.host.includes(':') ? `[${http.host}]` : http.host}:${http.port}`
        : `unix:${http.uds}`,
    ],
    ['access', describeAccess(auth)],
    ['home', config.home],
    ...Object.entries(view.pythons).map(([engine, python]) => [`python (${engine})`, python]),
    ...config.models.map((model) => [
      `model ${model.servedNames.join(', ')}`,
      `${model.model}, engine ${model.engine}, tp ${model.tensorParallel} × pp ${model.pipelineParallel} × dp ${model.dataParallel}`,
    ]),
  ];
  io.stdout.write(table(['what', 'value'], facts));
  for (const rank of view.ranks) {
    const device = rank.device === null ? 'CPU' : `${rank.device.kind} ${rank.device.index} (${rank.device.uuid})`;
    io.stdout.write(`\n${rank.model} replica ${rank.replica} rank ${rank.rank} of ${rank.worldSize} on ${device}\n`);
    for (const [name, value] of Object.entries(rank.environment)) io.stdout.write(`  ${name}=${value}\n`);
  }
}

function describeAccess(auth: { mode: string; keys: number }): string {
  if (auth.mode === 'off') return 'no key asked for (--no-auth)';
  if (auth.mode === 'anonymous') return 'this machine only: no key needed';
  return auth.keys === 0
    ? 'a generated key (kept in the home folder)'
    : `${auth.keys} ${auth.keys === 1 ? 'key' : 'keys'}`;
}
