/** Checks of the addon and of the devices it sees. The addon is loaded in a child first. */
import { asTwinkleError } from '../../errors.js';
import type { DeviceReport } from '../../native/types.js';
import { describeLibrary } from '../render/library.js';
import { type Check, type Finding, fail, note, ok, warn } from './check.js';

/** The addon, then devices, their holders and the vendor libraries. */
export const checkNative: Check = async ({ parts }) => {
  const broken = await parts.probeNative();
  if (broken !== null)
    return [fail('addon', `the native addon does not load: ${broken}`, 'build it again: npm run build', 4)];
  try {
    const native = await parts.native();
    return [ok('addon', `native addon, ABI ${native.abi}`), ...deviceFindings(native.devices())];
  } catch (error) {
    const { message, exitCode } = asTwinkleError(error);
    return [fail('addon', message, 'build it again: npm run build', exitCode)];
  }
};

function deviceFindings(report: DeviceReport): Finding[] {
  const devices = report.devices.flatMap((device): Finding[] => {
    const name = `${device.kind} ${device.index} (${device.name})`;
    if (device.health !== 'ok') {
      return [
        fail(
          'device',
          `${name} reports ${device.health}`,
          'look into the driver’s log (dmesg); leave the device out with --gpus',
          4,
        ),
      ];
    }
    if (device.processes.length > 0) {
      const pids = device.processes.map(({ pid }) => pid).join(', ');
      return [
        warn(
          'device',
          `${name} is held by pid ${pids}`,
          `see who it is: ps -fp ${pids.replaceAll(' ', '')}; end it if it is a leftover`,
        ),
      ];
    }
    return [ok('device', `${name} is free`)];
  });
  const none = report.devices.length === 0 ? [ok('device', 'no GPU or NPU: engines run on the CPU')] : [];
  const libraries = report.libraries.map((library) =>
    // An absent vendor is a fact, not a fault.
    library.loaded ? ok('library', describeLibrary(library)) : note('library', describeLibrary(library)),
  );
  return [...none, ...devices, ...libraries];
}
