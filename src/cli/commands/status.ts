/** `status`: every running server of this home folder, its models, replicas and ranks. */
import { EXIT } from '../../errors.js';
import type { HeadStatus, InstanceFile } from '../../runtime/types.js';
import type { ServedModel } from '../../serving/types.js';
import { askStatus } from '../admin.js';
import { homeFolder, runningInstances } from '../home.js';
import type { CliIo, Handler } from '../io.js';
import { type Paint, painter } from '../render/style.js';
import { formatDuration, table } from '../render/table.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io }) => {
  const flags = command.opts<{ home?: string; json?: boolean }>();
  const home = homeFolder(flags.home, io);
  const instances = runningInstances(home).map(({ file }) => file);
  const answers = await Promise.all(instances.map(async (file) => ({ file, answer: await askStatus(file) })));
  if (flags.json === true) {
    for (const { file, answer } of answers)
      io.stdout.write(`${JSON.stringify('silent' in answer ? { ...facts(file), ...answer } : answer)}\n`);
    return EXIT.ok;
  }
  if (answers.length === 0) io.stdout.write(`nothing runs in ${home}\n`);
  for (const { file, answer } of answers) show(file, answer, io);
  return EXIT.ok;
};

function facts({ instance, pid, startedAt, url }: InstanceFile): Record<string, unknown> {
  return { instance, pid, startedAt, url, phase: null };
}

function show(file: InstanceFile, answer: HeadStatus | { readonly silent: string }, io: CliIo): void {
  const paint = painter(io.stdout, io.env);
  const since = formatDuration(Date.now() - file.startedAt);
  if ('silent' in answer) {
    const why = paint('yellow', `does not answer: ${answer.silent}`);
    io.stdout.write(`${file.instance}  pid ${file.pid}  since ${since}  ${why}\n`);
    return;
  }
  io.stdout.write(
    `${paint('bold', answer.instance)}  ${state(answer.phase, paint)}  ${answer.url ?? 'without HTTP'}  ` +
      `pid ${answer.pid}  since ${since}  version ${answer.version}\n`,
  );
  const rows = answer.models.flatMap((model) => modelRows(model, paint));
  if (rows.length > 0) {
    const text = table(['MODEL', 'REPLICA', 'STATE', 'RANK', 'PID', 'DEVICES', 'IN FLIGHT', 'RESTARTS', 'NOTE'], rows);
    io.stdout.write(text.replace(/^(?=.)/gm, '  '));
  }
}

function modelRows(model: ServedModel, paint: Paint): string[][] {
  const name = model.names.join(', ');
  const note =
    model.reason ?? (model.progress === null ? '' : `${model.progress.phase} ${model.progress.detail}`.trim());
  if (model.replicas.length === 0) return [[name, '-', state(model.state, paint), '-', '-', '-', '-', '-', note]];
  return model.replicas.flatMap((replica) =>
    replica.ranks.map((rank) => [
      name,
      replica.id,
      state(replica.state, paint),
      String(rank.rank),
      rank.pid === null ? '-' : String(rank.pid),
      rank.devices.join(',') || 'cpu',
      String(replica.inFlight),
      String(replica.restarts),
      note,
    ]),
  );
}

function state(word: string, paint: Paint): string {
  if (word === 'ready') return paint('green', word);
  return paint(word === 'failed' || word === 'stopped' ? 'red' : 'yellow', word);
}
