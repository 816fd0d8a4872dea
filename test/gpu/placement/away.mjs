/** kill -9 of the head under load: servers go on, and a new head finds them where they are. */
import { eventually } from '../lib/box.mjs';
import { smiProcesses } from '../lib/smi.mjs';
import { ask, GRACE_S, same } from './scene.mjs';

/** Answers that must come while no head runs. */
const AWAY_ANSWERS = 40;

/** Kill the head, ask on, start it again. */
export async function headAway(scene) {
  const { report, box, serving } = scene;
  // The grace counts from the head's last word, not from when a server joined it.
  const oldEnough = () => serving.every(({ readyAtMs }) => performance.now() - readyAtMs > GRACE_S * 1000);
  await eventually('every server is older than the grace', oldEnough, GRACE_S * 1000 + 5000);
  const before = picture(scene);
  const right = await ask(serving[0]);
  const load = { away: false, over: false, answers: 0, whileAway: 0, wrong: [] };
  const asking = serving.map((server) => askOn(server, right, load));
  const long = ask(serving[0], 200).catch(String);
  const killed = performance.now();
  await box.killHead();
  load.away = true;
  await eventually(`${AWAY_ANSWERS} answers without a head`, () => load.whileAway >= AWAY_ANSWERS, 30_000);
  load.away = false;
  const { cluster } = box.head;
  const started = performance.now();
  const again = box.startHead('--head-grace', String(GRACE_S));
  const startMs = performance.now() - started;
  const created = () => ofState(box, 'CREATED', before);
  const back = await eventually('every group is there again', created, 20_000);
  load.over = true;
  await Promise.all(asking);
  const { answers, whileAway, wrong } = load;
  const counted = { answers, whileAway, wrong };
  report.check('every answer is right, with the head there, away and back', wrong.length === 0, counted);
  report.check('a long request goes through', (await long).length > right.length);
  report.check('the head comes back as the same cluster', again.cluster === cluster, [cluster, again.cluster]);
  const after = picture(scene);
  report.check('same groups, same devices, same ranks', same(after, before), { before, after });
  report.figure('the head, ms', {
    away: Math.round(started - killed),
    startAgain: Math.round(startMs),
    // Of which most is the CLI's own start.
    groupsKnownAgain: Math.round(back.ms),
  });
  const [{ available }] = box.list('nodes');
  report.check('the new head has no device to give', (available.GPU ?? 0) === 0, available);
  await report.onDevice('nvidia-smi after the head', () => {
    const [seen, wanted] = [smiProcesses().map(({ pid }) => pid), before.flatMap(({ pids }) => pids)];
    report.check('nvidia-smi: the same ranks on the devices', same(seen.sort(), wanted.sort()), { seen, wanted });
  });
}

function ofState(box, state, groups) {
  const all = new Map(box.list('placement-groups').map((group) => [group.id, group.state]));
  return groups.every(({ id }) => all.get(id) === state);
}

async function askOn(server, right, load) {
  while (!load.over) {
    const wasAway = load.away;
    const text = await ask(server).catch(String);
    load.answers += 1;
    if (wasAway && load.away) load.whileAway += 1;
    if (text !== right) load.wrong.push(text);
  }
}

function picture({ box, serving }) {
  return serving.map((server) => {
    const { id, state, bundles } = box.group(server);
    return { id, state, bundles, pids: box.gang(server).ranks.map(({ pid }) => pid) };
  });
}
