/** Shows the plan of `serve --dry-run`. Keys are never in it: a configuration holds only hashes, and those are left out. */
import type { CompiledConfig } from '../../config/compile.js';
import type { Bundle, ModelConfig } from '../../config/types.js';
import { maskSecret, type Plan, type PlannedGroup } from '../../runtime/plan.js';
import type { CliIo } from '../io.js';
import { table } from '../render/table.js';

/** What is shown. */
export interface PlanView {
  readonly compiled: CompiledConfig;
  readonly plan: Plan;
  /** Engine → interpreter, or what a start would do about it. */
  readonly pythons: Readonly<Record<string, string>>;
}

/** Write the plan to stdout: one JSON line, or tables. */
export function showPlan(view: PlanView, io: CliIo, json: boolean): void {
  const { config, origins } = view.compiled;
  const auth = { mode: config.auth.mode, keys: config.auth.keyHashes.length };
  if (json) {
    const { groups, ranks } = view.plan;
    // The file of a Twinkle Server may have a password in it, and what is made of it is all here.
    const { twinkle: _, ...rest } = config;
    const models = config.models.map(masked);
    const trained = config.trained.map(masked);
    const plan = { ...rest, models, trained, auth, groups, ranks, pythons: view.pythons, origins };
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
      `${model.model}, engine ${model.engine}, tp ${model.tensorParallel} × pp ${model.pipelineParallel} × ${describeReplicas(model)}`,
    ]),
    ...config.trained.map(({ engine, full, model, name, ranks, shard }) => [
      `trained ${name}`,
      `${model}, engine ${engine}, ${ranks} ${ranks === 1 ? 'rank' : 'ranks'}${shard ? ' with a part each' : ''}${full ? ', all parameters' : ''}`,
    ]),
  ];
  io.stdout.write(table(['what', 'value'], facts));
  for (const group of view.plan.groups) showGroup(group, io);
  for (const rank of view.plan.ranks) {
    const device = rank.device === null ? 'CPU' : `${rank.device.kind} ${rank.device.index} (${rank.device.uuid})`;
    io.stdout.write(
      `\n${rank.model} replica ${rank.replica} rank ${rank.rank} of ${rank.worldSize} on ${device} of node ${rank.node}\n`,
    );
    for (const [name, value] of Object.entries(rank.environment)) io.stdout.write(`  ${name}=${value}\n`);
  }
}

/** Without the values of variables whose names say that they are secrets. */
function masked<T extends Pick<ModelConfig, 'envVars'>>(model: T): T {
  const entries = Object.entries(model.envVars).map(([name, value]) => [name, maskSecret(name, value)]);
  return { ...model, envVars: Object.fromEntries(entries) as T['envVars'] };
}

/** `dp 2`, or between how many there are. */
function describeReplicas({ autoscaling, dataParallel }: ModelConfig): string {
  return autoscaling === null ? `dp ${dataParallel}` : `${autoscaling.min} to ${autoscaling.max} replicas`;
}

function showGroup({ name, strategy, outcome, reason, bundles, nodes }: PlannedGroup, io: CliIo): void {
  io.stdout.write(`\ngroup ${name}, ${strategy}: ${outcome}${reason === null ? '' : `: ${reason}`}\n`);
  const rows = bundles.map(({ index, resources, node, devices }) => [
    String(index),
    describeBundle(resources),
    node ?? '-',
    devices.map(({ uuid, quantity }) => (quantity < 1 ? `${quantity} of ${uuid}` : uuid)).join(', ') || '-',
  ]);
  io.stdout.write(indent(table(['BUNDLE', 'RESOURCES', 'NODE', 'DEVICES'], rows)));
  if (nodes.length > 0) {
    const reasons = nodes.map((node) => [node.node, node.kind, node.reason]);
    io.stdout.write(indent(table(['NODE', 'STATE', 'WHY NOT'], reasons)));
  }
}

function describeBundle(bundle: Bundle): string {
  const amounts = Object.entries(bundle).map(([name, amount]) => `${name} ${amount}`);
  return amounts.join(', ');
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

function describeAccess(auth: { mode: string; keys: number }): string {
  if (auth.mode === 'off') return 'no key asked for (--no-auth)';
  if (auth.mode === 'anonymous') return 'this machine only: no key needed';
  return auth.keys === 0
    ? 'a generated key (kept in the home folder)'
    : `${auth.keys} ${auth.keys === 1 ? 'key' : 'keys'}`;
}
