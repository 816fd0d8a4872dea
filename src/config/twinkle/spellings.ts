/** Spellings of before, which documents still show: each becomes that of today, and is named once. Pure. */
import { isItems, isMap, type Located, type LocatedMap } from '../yaml-tree.js';
import { readTruth } from './complete.js';
import type { Problems } from './problems.js';

/** At the top. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['telemetry_config', 'telemetry'],
  ['persistence_config', 'persistence'],
]);

/** The tree in the names of today, places kept. */
export function respell(root: Located, problems: Problems): Located {
  if (!isMap(root.value)) return root;
  const fields = new Map<string, Located>();
  for (const [key, item] of root.value) {
    const today = RENAMED.get(key);
    if (today === undefined) fields.set(key, item);
    else if (root.value.has(today))
      problems.add(item.origin, `is the spelling of before of \`${today}\`, which is written, too; leave it out`);
    else {
      problems.warn(item.origin, `\`${key}\` is the spelling of before; write \`${today}\``);
      fields.set(today, item);
    }
  }
  const applications = fields.get('applications');
  if (isItems(applications?.value)) {
    const items = applications.value.map((one) => ofApplication(one, fields.get('task_queue')?.value, problems));
    fields.set('applications', { ...applications, value: items });
  }
  return { ...root, value: fields };
}

function ofApplication(app: Located, queue: unknown, problems: Problems): Located {
  if (!isMap(app.value)) return app;
  const kind = app.value.get('import_path')?.value;
  const args = app.value.get('args') ?? {
    origin: { ...app.origin, name: `${app.origin.name}.args` },
    value: new Map(),
  };
  if (args.value !== null && !isMap(args.value)) return app;
  const fields = new Map(args.value ?? []);
  if (kind === 'model') megatron(fields, problems);
  if (kind !== 'server') inherit(fields, isMap(queue) ? queue : new Map(), args);
  return { ...app, value: new Map(app.value).set('args', { ...args, value: fields }) };
}

/** `use_megatron: true` → `backend: megatron`. */
function megatron(fields: Map<string, Located>, problems: Problems): void {
  const written = fields.get('use_megatron');
  if (written === undefined) return;
  const truth = readTruth(String(written.value));
  if (truth === null) return; // an unknown key, as any other
  const today = truth ? 'megatron' : 'transformers';
  const backend = fields.get('backend');
  fields.delete('use_megatron');
  if (backend === undefined) {
    problems.warn(written.origin, `\`use_megatron\` is the spelling of before; write \`backend: ${today}\``);
    fields.set('backend', { ...written, value: today });
  } else if (backend.value !== today) {
    problems.add(written.origin, `says ${today}, and \`backend\` says ${String(backend.value)}; leave it out`);
  }
}

/** What an application does not say of its queue, `task_queue` says. */
function inherit(fields: Map<string, Located>, queue: LocatedMap, args: Located): void {
  const own = fields.get('queue_config');
  const said = own?.value ?? new Map();
  if (!isMap(said)) return; // refused later
  const origin = own?.origin ?? { source: 'default', name: `${args.origin.name}.queue_config`, at: args.origin.at };
  fields.set('queue_config', { origin, value: new Map([...queue, ...said]) });
}
