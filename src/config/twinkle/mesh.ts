/** `device_mesh`: sizes of the dimensions of parallelism, or the ranks themselves. Pure. */
import { entry, isItems, type Located, plain } from '../yaml-tree.js';
import type { Problems } from './problems.js';
import type { ArgsOf } from './schema.js';
import type { Mesh } from './types.js';

type Written = ArgsOf<'model'>['device_mesh'];

/** Sizes whose product is the world, as modelscope/twinkle orders them. */
const AXES = ['fsdp', 'pp', 'dp', 'cp', 'tp'] as const;
const SIZES = ['world_size', ...AXES.map((axis) => `${axis}_size`)];

/** @param field where it was written; problems are told at its entries */
export function readMesh(written: Written, field: Located, problems: Problems): Mesh {
  const of = (key: string): Located['origin'] => entry(field, key).origin;
  const sizes = written.mesh === null ? ofSizes(written, problems, of) : ofRanks(written, field, problems);
  const { world } = sizes;
  const ulysses = written.ulysses_size ?? 1;
  const data = sizes.dp * sizes.fsdp;
  if (data % ulysses !== 0) {
    problems.add(
      of('ulysses_size'),
      `${ulysses} ranks cannot share a sequence: it has to divide dp × fsdp, which is ${data}`,
    );
  }
  const ep = written.ep_size ?? 1;
  if (world % ep !== 0) problems.add(of('ep_size'), `${ep} does not divide the ${world} ranks of the mesh`);
  return {
    ...sizes,
    ...{ ulysses, ep, etp: written.etp_size, vpp: written.vpp_size ?? 1 },
    epFsdp: written.ep_fsdp_size ?? (ep > 1 ? Math.max(1, Math.floor(world / ep)) : 1),
    sequenceParallel: written.sequence_parallel,
    dataParts: Math.max(1, Math.floor(data / ulysses)),
  };
}

type Sizes = Pick<Mesh, 'world' | (typeof AXES)[number]>;

function ofSizes(written: Written, problems: Problems, of: (key: string) => Located['origin']): Sizes {
  const sizes = {
    dp: written.dp_size,
    fsdp: written.fsdp_size ?? 1,
    tp: written.tp_size ?? 1,
    pp: written.pp_size ?? 1,
    cp: written.cp_size ?? 1,
  };
  const product = AXES.reduce((all, axis) => all * sizes[axis], 1);
  if (written.world_size > 1 && written.world_size !== product) {
    const said = AXES.filter((axis) => sizes[axis] > 1).map((axis) => `${axis}_size ${sizes[axis]}`);
    problems.add(
      of('world_size'),
      `is ${written.world_size}, and the sizes (${said.join(' × ') || 'all 1'}) give ${product}`,
    );
  }
  if (written.mesh_dim_names !== null)
    problems.add(of('mesh_dim_names'), 'names the dimensions of `mesh`, which is not written');
  return { world: product, ...sizes };
}

function ofRanks({ mesh_dim_names: names }: Written, field: Located, problems: Problems): Sizes {
  const sizes = { dp: 1, fsdp: 1, tp: 1, pp: 1, cp: 1 };
  const beside = SIZES.filter((key) => entry(field, key).origin.source !== 'default' && entry(field, key) !== field);
  const mesh = entry(field, 'mesh');
  if (beside.length > 0) problems.add(mesh.origin, `says the sizes, and so does ${beside.join(', ')}; leave one out`);
  const shape = shapeOf(mesh);
  if (shape === null) {
    problems.add(mesh.origin, 'expected ranks as lists of lists of equal lengths');
    return { world: 1, ...sizes };
  }
  const ranks = (plain(mesh) as unknown[]).flat(Number.POSITIVE_INFINITY) as number[];
  if (ranks.some((rank, at) => rank !== at)) {
    problems.add(
      mesh.origin,
      `expected the ranks from 0 to ${ranks.length - 1} in their order; others are not laid out here`,
    );
  }
  const named = entry(field, 'mesh_dim_names').origin;
  if (names?.length !== shape.length) {
    const received = names?.length ?? 'none';
    problems.add(named, `expected ${shape.length} names, one for each dimension of \`mesh\`, but received ${received}`);
    return { world: ranks.length, ...sizes };
  }
  const known: readonly string[] = AXES;
  const unknown = names.filter((name) => !known.includes(name));
  for (const name of unknown)
    problems.add(named, `\`${name}\` is no dimension of \`mesh\`; there are ${AXES.join(', ')}`);
  const order = names.map((name) => known.indexOf(name));
  if (unknown.length === 0 && order.some((place, at) => at > 0 && place <= (order[at - 1] as number))) {
    problems.add(named, `expected each once, in the order ${AXES.join(', ')}, in which ranks are laid out`);
  }
  names.forEach((name, at) => {
    if (name in sizes) sizes[name as keyof typeof sizes] = shape[at] as number;
  });
  return { world: ranks.length, ...sizes };
}

/** Lengths of lists within lists; null: they differ, or what is within is no rank. */
function shapeOf({ value }: Located): number[] | null {
  if (!isItems(value)) return null;
  const within = value.map((item) => (isItems(item.value) ? shapeOf(item) : isRank(item.value) ? [] : null));
  const [first] = within;
  if (first === undefined || first === null) return null;
  return within.every((shape) => shape?.join() === first.join()) ? [value.length, ...first] : null;
}

function isRank(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
