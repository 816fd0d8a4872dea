/** `list devices`: accelerators and the CPU of this machine, or the devices of whole clusters; and who holds each. */
import type { Handler } from '../io.js';
import { CLUSTER_DEVICES, clusterDeviceColumns, clusterDeviceRows } from '../list/cluster-devices.js';
import { DEVICES, deviceColumns, deviceRows, machineLines } from '../list/devices.js';
import { gatherClusters, gatherStatus, serversOf } from '../list/gather.js';
import { holdersByUuid } from '../list/holders.js';
import { presentListing } from '../list/present.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io, parts }) => {
  if (command.opts<{ cluster?: boolean }>().cluster === true) {
    return presentListing(command, io, CLUSTER_DEVICES, async (home) => {
      const [clusters, servers] = await Promise.all([gatherClusters(home), gatherStatus(home)]);
      return {
        rows: clusterDeviceRows(clusters.found, serversOf(servers.found)),
        notes: clusters.notes,
        nothing: whyNothing(CLUSTER_DEVICES.things, home, clusters),
        columns: clusterDeviceColumns,
      };
    });
  }
  return presentListing(command, io, DEVICES, async (home) => {
    const [native, clusters, servers] = await Promise.all([parts.native(), gatherClusters(home), gatherStatus(home)]);
    const report = native.devices();
    const cpu = native.cpu();
    return {
      rows: deviceRows(report.devices, holdersByUuid(clusters.found, serversOf(servers.found))),
      notes: clusters.notes,
      nothing: 'no GPU or NPU',
      columns: () => deviceColumns(clusters.found.length > 0),
      document: (devices) => ({ ...report, devices, cpu }),
      after: (paint) => [...(report.devices.length === 0 ? [] : ['']), ...machineLines(cpu, report.libraries, paint)],
    };
  });
};
