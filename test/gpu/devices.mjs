/** What the addon reads from NVML is what nvidia-smi says; doctor finds nothing to refuse; the plan names the device. */
import { PYTHON, Report } from './lib/report.mjs';
import { cli } from './lib/server.mjs';
import { smiDevices } from './lib/smi.mjs';

const report = new Report('gpu-devices');
const MIB = 2 ** 20;

await report.part('list devices', () => {
  const before = smiDevices();
  const ours = JSON.parse(cli(['list', 'devices', '--json']));
  report.figure('devices', ours.devices);
  report.figure('libraries', ours.libraries);
  report.figure('cpu', ours.cpu);
  report.check('as many devices as nvidia-smi', ours.devices.length === before.length, ours.devices.length);
  for (const [at, device] of ours.devices.entries()) {
    const theirs = before[at];
    for (const field of ['index', 'name', 'uuid', 'driverVersion', 'computeCapability'])
      report.check(`device ${at}: ${field}`, device[field] === theirs[field], [device[field], theirs[field]]);
    // nvidia-smi writes the domain with eight digits, sysfs with four.
    const bus = [device.pciBusId, theirs.pciBusId].map((id) => id?.toLowerCase().replace(/^0+/, ''));
    report.check(`device ${at}: pciBusId`, bus[0] === bus[1], [device.pciBusId, theirs.pciBusId]);
    const total = Math.abs(device.memoryTotalBytes - theirs.memoryTotalBytes);
    report.check(`device ${at}: memory, to a MiB`, total <= MIB, [device.memoryTotalBytes, theirs.memoryTotalBytes]);
    // The driver's own reserve is not in nvidia-smi's figure; a desktop on the device may take a page meanwhile.
    const used = Math.abs(device.memoryUsedBytes - theirs.memoryUsedBytes);
    report.check(`device ${at}: memory used, to 2 MiB`, used <= 2 * MIB, [
      device.memoryUsedBytes,
      theirs.memoryUsedBytes,
    ]);
    report.check(`device ${at}: health`, device.health === 'ok', device.health);
  }
  const nvml = ours.libraries.find(({ library }) => library.startsWith('libnvidia-ml'));
  report.check('libnvidia-ml is loaded, with its path', nvml?.loaded === true && nvml.path !== null, nvml);
});

await report.part('doctor', () => {
  const lines = cli(['doctor', '--json', '--port', '18000'], { anyCode: true }).trim().split('\n');
  const findings = lines.map((line) => JSON.parse(line));
  report.figure('doctor', findings);
  const failed = findings.filter(({ level }) => level === 'fail');
  report.check('doctor fails nothing', failed.length === 0, failed);
});

await report.part('plan', () => {
  const [{ uuid }] = smiDevices();
  for (const name of ['0', uuid]) {
    const plan = JSON.parse(
      cli(['serve', '--gpus', name, '--dry-run', '--json', '--python', PYTHON]).trim().split('\n').at(-1),
    );
    const mask = plan.ranks[0].environment.CUDA_VISIBLE_DEVICES;
    report.check(`--gpus ${name === '0' ? 'INDEX' : 'UUID'}: the rank sees exactly this device`, mask === uuid, mask);
  }
});
report.end();
