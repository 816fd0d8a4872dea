/** `device_group` with its mesh: how many devices, which, and whether both say the same. Pure. */
import { didYouMean } from '../../util/did-you-mean.js';
import { parseRanges } from '../../util/ranges.js';
import { entry, type Located } from '../yaml-tree.js';
import { readMesh } from './mesh.js';
import type { Problems } from './problems.js';
import type { ArgsOf } from './schema.js';
import type { DeviceGroup, Mesh } from './types.js';

/** A component's devices as written. */
interface Written {
  readonly group: ArgsOf<'model'>['device_group'];
  readonly mesh: ArgsOf<'model'>['device_mesh'];
  readonly perNode: number;
  /** A process may have several, which share each layer. */
  readonly several: boolean;
}

const TYPES: ReadonlyMap<string, DeviceGroup['type']> = new Map([
  ['cuda', 'GPU'],
  ['gpu', 'GPU'],
  ['npu', 'NPU'],
  ['cpu', 'CPU'],
]);

/** @param args the `args` that hold both */
export function readDevices(written: Written, args: Located, problems: Problems): DeviceGroup {
  const { group, mesh: sizes, perNode } = written;
  const field = entry(args, 'device_group');
  const at = (key: string): Located['origin'] => entry(field, key).origin;
  const type = typeOf(group.device_type, at('device_type'), problems);
  const mesh = readMesh(sizes, entry(args, 'device_mesh'), problems);
  const said = entry(entry(args, 'device_mesh'), 'device_type').origin;
  const other = sizes.device_type === null ? type : typeOf(sizes.device_type, said, problems);
  if (other !== null && type !== null && other !== type) {
    problems.add(said, `is ${sizes.device_type}, and that of device_group is ${group.device_type}`);
  }
  const listed = typeof group.ranks === 'number' ? null : group.ranks;
  let ranks = listed?.length ?? (group.ranks as number);
  if (listed !== null && new Set(listed).size !== listed.length) problems.add(at('ranks'), 'a rank is named twice');
  if (ranks === 0 && type === 'CPU' && listed === null) {
    // Documents call it the number of a CPU.
    problems.warn(
      at('ranks'),
      `\`ranks\` of a CPU group is how many processes it has; write the number instead of 0: here ${mesh.world}, as device_mesh says`,
    );
    ranks = mesh.world;
  } else if (ranks === 0) problems.add(at('ranks'), 'expected at least one rank');
  if (ranks > 0 && mesh.world !== ranks) {
    problems.add(
      entry(args, 'device_mesh').origin,
      `its sizes give ${mesh.world} ranks, and \`device_group.ranks\` are ${ranks}; they have to be equal`,
    );
  }
  const perWorker = readPerWorker(written, mesh, field, problems);
  const where = entry(field, 'gpus_per_worker') === field ? entry(args, 'device_mesh').origin : at('gpus_per_worker');
  if (ranks % perWorker !== 0) problems.add(where, `${ranks} ranks cannot be given out by ${perWorker}`);
  else if (perWorker > perNode && type !== 'CPU') {
    problems.add(where, `the ${perWorker} devices of a process are of one node, and nproc_per_node is ${perNode}`);
  }
  return {
    ...{ name: group.name, type: type ?? 'CPU', ranks, chosen: listed, perWorker, perNode, mesh },
    visible: visibleOf(group.visible_devices, at('visible_devices'), problems),
  };
}

/** As `gpus_per_worker` says, or else as many as the mesh has tensor parallel ranks. */
function readPerWorker({ group, several }: Written, { tp }: Mesh, field: Located, problems: Problems): number {
  const written = entry(field, 'gpus_per_worker');
  const count = group.gpus_per_worker;
  if (!several) {
    if (count > 1) problems.add(written.origin, 'a process that trains has one device; leave it out');
    return 1;
  }
  if (written === field) return tp;
  if (tp !== count) {
    problems.add(written.origin, `is ${count}, and tp_size of device_mesh is ${tp}; they have to be equal`);
  }
  return count;
}

function typeOf(written: string, origin: Located['origin'], problems: Problems): DeviceGroup['type'] | null {
  const found = TYPES.get(written.toLowerCase());
  if (found !== undefined) return found;
  problems.add(
    origin,
    `expected cuda, npu or CPU but received ${JSON.stringify(written)}${didYouMean(written, TYPES.keys())}`,
  );
  return null;
}

function visibleOf(
  written: Written['group']['visible_devices'],
  origin: Located['origin'],
  problems: Problems,
): readonly number[] | null {
  if (written === null || written === '') return null;
  if (typeof written === 'number') return [written];
  try {
    return parseRanges(typeof written === 'string' ? written : written.join(','), origin.name);
  } catch (error) {
    problems.take(error, origin);
    return null;
  }
}
