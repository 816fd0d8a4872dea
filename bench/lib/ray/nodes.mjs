/** The cluster on which both sides are measured, and the groups that are made there. */
export const NODES = 16;
const TOTAL = { CPU: 8, GPU: 8, custom: 100 };

/** For Ray. */
export const rayNodes = Array.from({ length: NODES }, () => ({ res: TOTAL, labels: {} }));

/** What agent `index` says of its node. */
export function hello(index) {
  const ids = Array.from({ length: TOTAL.GPU }, (_, device) => `GPU-${index}-${device}`);
  return {
    id: `n${index}`,
    name: `n${index}`,
    address: '127.0.0.1',
    incarnation: `bench${index}`,
    version: 'bench',
    pid: null,
    total: TOTAL,
    labels: {},
    devices: { GPU: { ids, numa: ids.map(() => null), links: [] } },
  };
}

/** A group as a client asks for it. */
export function spec(strategy, bundles) {
  return {
    name: '',
    namespace: 'default',
    lifetime: 'owner',
    strategy,
    domainLabel: null,
    bundles,
    selectors: null,
    softTarget: null,
    tensorParallel: 1,
    hold: 'stateful',
    task: null,
  };
}
