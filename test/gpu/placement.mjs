/**
 * Placement groups on a box with two GPUs or more: links as nvidia-smi says, a device mask a rank, servers that share the box through a
 * head, room that a dead server leaves, and a head that is killed and comes back. With `TWINKLE_FAKE_DEVICES=gpu:2` it runs anywhere,
 * and says of what only a device can show that it was not checked.
 */
import { eventually, within } from './lib/box.mjs';
import { smiProcesses } from './lib/smi.mjs';
import { headAway } from './placement/away.mjs';
import { otherType } from './placement/elsewhere.mjs';
import { pair } from './placement/pair.mjs';
import { makeRoom, share } from './placement/room.mjs';
import { Scene } from './placement/scene.mjs';
import { head, onPaper, survey } from './placement/survey.mjs';

const scene = new Scene();
const { report, box, uuids } = scene;
process.on('exit', () => box.killAll());
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1));

if (uuids.length < 2) {
  // The report of a box where it could run is worth more than one that says this.
  console.log(`     not run: it takes two GPUs and here are ${uuids.length}`);
  await box.close();
  process.exit(0);
}
await report.part('survey', () => survey(scene));
await report.part('on paper', () => onPaper(scene));
await report.part('head', () => head(scene));
await report.part('a gang of two ranks', () => pair(scene));
await report.part('a server on each device', () => share(scene));
await report.part('room', () => makeRoom(scene));
await report.part('a head that goes away', () => headAway(scene));
await report.part('a type that is not here', () => otherType(scene));
await report.part('the end', async () => {
  for (const server of scene.serving) await within('a clean end', 40_000, server.stop());
  const [{ available }] = box.list('nodes');
  report.check('every device is free again', available.GPU === uuids.length, available);
  await report.onDevice('devices after the end', async () => {
    const { ms } = await eventually('the memory is back', () => uuids.every((_, at) => scene.isIdle(at)), 5000);
    report.check('nobody is on a device', smiProcesses().length === 0, { ms: Math.round(ms) });
  });
});
await report.part('nothing is left', () => box.close());
report.end();
process.exit();
