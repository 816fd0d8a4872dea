/** The import layers of ARCHITECTURE.md, checked. A folder may import what its row allows and nothing else of src. */
const allowed = {
  protocol: ['protocol', 'util'],
  util: ['util', 'errors'],
  native: ['native', 'protocol', 'util', 'errors', 'config/package-root'],
  config: ['config', 'protocol', 'util', 'errors', 'native/types'],
  scheduler: ['scheduler', 'protocol', 'util', 'errors'],
  store: ['store', 'util', 'errors'],
  cluster: ['cluster', 'scheduler', 'store', 'transport', 'observability', 'protocol', 'util', 'errors'],
  observability: ['observability', 'protocol', 'util', 'errors'],
  transport: ['transport', 'protocol', 'util', 'errors'],
  engines: ['engines', 'config', 'protocol', 'util', 'errors'],
  python: ['python', 'config', 'protocol', 'util', 'errors'],
  supervisor: ['supervisor', 'transport', 'engines', 'native/types', 'config', 'observability', 'protocol', 'util', 'errors'],
  serving: ['serving', 'supervisor/gang-machine', 'transport/channel', 'observability', 'protocol', 'util', 'errors'],
  training: ['training', 'serving/types', 'store', 'observability', 'protocol', 'util', 'errors'],
  twinkle: ['twinkle', 'training/types', 'training/checkpoint-path', 'protocol', 'util', 'errors'],
  actors: ['actors', 'scheduler', 'cluster/api', 'cluster/group-spec', 'cluster/types', 'supervisor/launcher', 'supervisor/rank-log', 'transport/framed-socket', 'transport/door', 'transport/door-draw', 'transport/door-knock', 'transport/door-reach', 'native/types', 'observability', 'protocol', 'util', 'errors'],
  work: ['work', 'actors/methods', 'cluster/api', 'transport/framed-socket', 'native/types', 'protocol', 'util', 'errors'],
  gateway: ['gateway', 'serving/types', 'training/types', 'training/checkpoint-path', 'twinkle/types', 'config/types', 'observability', 'protocol', 'util', 'errors'],
  runtime: ['runtime', 'actors', 'work', 'gateway', 'serving', 'training', 'twinkle', 'supervisor', 'cluster', 'scheduler', 'store', 'transport', 'tensor', 'engines', 'python', 'native', 'config', 'observability', 'protocol', 'util', 'errors'],
  cli: ['cli', 'runtime', 'config', 'python', 'native', 'engines/args', 'scheduler', 'cluster/api', 'observability', 'serving/types', 'util', 'errors'],
};
const rules = Object.entries(allowed).map(([layer, may]) => ({
  name: `layer-${layer}`,
  severity: 'error',
  from: { path: `^src/${layer}/` },
  to: { path: '^src/', pathNot: may.map((target) => `^src/${target}(/|\\.ts$)`) },
}));
module.exports = {
  forbidden: [
    ...rules,
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    {
      name: 'pure-scheduler',
      comment: 'placement does no I/O, reads no clock, draws no random number; the ledger is a machine without I/O',
      severity: 'error',
      from: { path: '^src/(scheduler/|cluster/(types|ledger|reservation))' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-machine',
      comment: 'pure cores do no I/O',
      severity: 'error',
      from: { path: '^src/(supervisor/(gang-machine|pulse-monitor|rank-environment)|serving/(fair-queue|choose-replica)|protocol/(values|frames|methods|work)|actors/(actor-life|actor-names|object-(table|lives|record|types))|twinkle/((losses|metrics|schedulers)/.+|arguments|feature-fields|features|optimizers))\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node'] },
  },
};
