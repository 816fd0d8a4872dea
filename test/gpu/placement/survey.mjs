/** The devices, their links and NUMA nodes are nvidia-smi's; a plan on paper and the head's node are made of them. */
import { readFileSync } from 'node:fs';
import { FAKE_DEVICES } from '../lib/report.mjs';
import { cli } from '../lib/server.mjs';
import { smiDevices, smiTopology } from '../lib/smi.mjs';
import { GRACE_S, same } from './scene.mjs';

/** What `list devices` calls a cell of `nvidia-smi topo -m`. */
const linkOf = (cell) => (/^NV\d+$/.test(cell) ? ['nvlink', Number(cell.slice(2))] : [cell.toLowerCase(), 0]);

/** `list devices` against nvidia-smi. */
export function survey({ report, survey: { devices, links, cpu }, uuids }) {
  report.figure('devices', devices);
  report.figure('links', links);
  return report.onDevice('survey against nvidia-smi', () => {
    const theirs = smiDevices().map(({ uuid }) => uuid);
    const topology = smiTopology();
    report.figure('nvidia-smi topo -m', topology.text.trimEnd().split('\n'));
    report.check('as many devices as nvidia-smi, by uuid', same(uuids, theirs), [uuids, theirs]);
    report.check('nvidia-smi shows as many in its matrix', topology.gpus.length === uuids.length);
    for (const { a, b, kind, lanes } of links) {
      const cell = topology.gpus[a]?.to[b] ?? '';
      report.check(`link ${a}-${b} is nvidia-smi’s`, same([kind, lanes], linkOf(cell)), { kind, lanes, cell });
    }
    for (const { index, numaNode, pciBusId } of devices) {
      const theirs = topology.gpus[index]?.numa ?? null;
      const kernel = Number(readFileSync(`/sys/bus/pci/devices/${pciBusId}/numa_node`, 'utf8'));
      // A virtual machine may tell none; nvidia-smi then names a node all the same, the only one.
      const untold = numaNode === null && kernel === -1 && cpu.numa.length === 1;
      const seen = { ours: numaNode, theirs, kernel };
      report.check(
        `device ${index}: NUMA node is nvidia-smi’s, or the kernel tells none of one`,
        numaNode === theirs || untold,
        seen,
      );
    }
  });
}

const WORDS = { nvlink: '1 pair by NVLink', pix: 'PCIe switch', pxb: 'PCIe switches', phb: 'PCIe host bridge' };

/** `place` on this machine. */
export function onPaper({ report, survey: { links } }) {
  const link = links.find(({ a, b }) => a === 0 && b === 1);
  const args = ['place', '--bundles', '[{"GPU":1}]*2', '--tensor-parallel', '2', '--explain'];
  const last = cli(args).trim().split('\n').at(-1).trim();
  const answer = JSON.parse(cli([...args, '--json']));
  const held = answer.bundles.flatMap(({ devices }) => devices.map(({ uuid }) => uuid));
  report.check('place: two bundles get two devices', answer.outcome === 'placed' && new Set(held).size === 2, held);
  report.check('place --json names the link', same(answer.links?.[0]?.pairs, [[link.kind, 1]]), answer.links);
  report.check('place --explain names the link', last.includes(WORDS[link.kind] ?? 'NUMA node'), last);
}

/** `start --head` and `list nodes`. */
export function head(scene) {
  const { report, box, uuids } = scene;
  const started = performance.now();
  box.startHead('--head-grace', String(GRACE_S));
  report.figure('start --head, ms', Math.round(performance.now() - started));
  const [{ resources, labels, devices }, ...others] = box.list('nodes');
  report.check('one node with every device', others.length === 0 && resources.GPU === uuids.length, resources);
  const ids = devices.map(({ uuid }) => uuid);
  report.check('its instances are the devices in their order', same(ids, uuids), ids);
  const named = Object.keys(resources).find((name) => name.startsWith('accelerator_type:'));
  scene.type = named?.split(':')[1] ?? null;
  if (FAKE_DEVICES !== null) return report.figure('accelerator type', 'not checked: the devices are fake');
  // Ray's own rule: the first word of capitals and digits after the vendor.
  const ray = /\w+\s+([A-Z0-9]+)/.exec(scene.survey.devices[0].name)?.[1] ?? null;
  report.check('accelerator_type is Ray’s name for it', scene.type !== null && scene.type === ray, [scene.type, ray]);
  const label = labels['ray.io/accelerator-type'];
  report.check('… one of it, and the label', resources[`accelerator_type:${ray}`] === 1 && label === ray, labels);
}
