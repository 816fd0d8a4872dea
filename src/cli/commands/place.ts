/** `place`: where a group or an actor would go, and why; without a cluster. Also replays recorded operations. */
import { EXIT } from '../../errors.js';
import type { Handler } from '../io.js';
import { viewOfActor, whatIfActor } from '../place/actor.js';
import { whatIfCluster } from '../place/cluster.js';
import { askedFor, type PlaceFlags } from '../place/flags.js';
import { requestOf, whatIfGroup } from '../place/group.js';
import { replayFile } from '../place/replay-file.js';
import { viewOf } from '../place/view.js';
import { painter } from '../render/style.js';

/** See {@link Handler}. Exit code: 0, or 3 when it would wait or can never fit. */
export const run: Handler = async (command, context) => {
  const { io } = context;
  const flags = command.opts<PlaceFlags>();
  const asked = askedFor(flags);
  if (asked === 'replay') {
    await replayFile(flags.replay ?? '', io);
    return EXIT.ok;
  }
  const state = await whatIfCluster(flags, context);
  const width = io.stdout.isTTY === true ? (io.stdout.columns ?? null) : null;
  const paint = painter(io.stdout, io.env);
  const print = (answer: object, lines: () => readonly string[]): void => {
    io.stdout.write(flags.json === true ? `${JSON.stringify(answer)}\n` : `${lines().join('\n')}\n`);
  };
  if (asked === 'actor') {
    const answer = whatIfActor(state, flags);
    print(answer, () => viewOfActor(answer, width, paint));
    return answer.outcome === 'placed' ? EXIT.ok : EXIT.infeasible;
  }
  const explain = flags.explain === true;
  const answer = whatIfGroup(state, requestOf(flags, state), explain);
  print(answer, () => viewOf(answer, explain, width, paint));
  return answer.outcome === 'placed' ? EXIT.ok : EXIT.infeasible;
};
