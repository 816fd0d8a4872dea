/** `runs` as rows and columns: one run a row. Pure. */
import { TwinkleError } from '../../errors.js';
import type { RunStatus } from '../../runtime/types.js';
import { didYouMean } from '../../util/did-you-mean.js';
import type { Cell, Column } from '../render/layout.js';
import { formatDuration } from '../render/table.js';
import { count, figure, milliseconds } from './figures.js';
import type { FoundRuns } from './gather.js';
import type { Kind } from './picture.js';
import { RUN_STATES } from './states.js';

/** A run of a server. */
export interface RunRow extends RunStatus {
  /** Of the server. */
  readonly instance: string;
}

/** See {@link Kind}. */
export const RUNS: Kind<RunRow> = {
  things: 'runs',
  states: RUN_STATES,
  fields: {
    instance: 'value',
    id: 'value',
    model: 'value',
    rank: 'value',
    state: 'value',
    reason: 'value',
    step: 'value',
    steps: 'value',
    datums: 'value',
    tokens: 'value',
    loss: 'value',
    lossPerToken: 'value',
    gradNorm: 'value',
    samplerGap: 'value',
    tokensPerSecond: 'value',
    stepMs: 'value',
    queueMs: 'value',
    queued: 'value',
    created: 'value',
    lastRequest: 'value',
  },
  passing: [],
};

/** Every run of every server. */
export function runRows(servers: readonly FoundRuns[]): RunRow[] {
  return servers.flatMap(({ runs, teller }) => runs.map((run) => ({ instance: teller.instance, ...run })));
}

/** Columns for these runs. @param nowMs unix ms */
export function runColumns(rows: readonly RunRow[], nowMs: number): Column<RunRow>[] {
  const several = new Set(rows.map(({ instance }) => instance)).size > 1;
  const perToken = rows.some(({ lossPerToken }) => lossPerToken !== null);
  return [
    { head: 'RUN', cell: ({ id }) => runWord(id) },
    { head: 'MODEL', cell: ({ model }) => model, drop: 3 },
    { head: 'RANK', cell: ({ rank }) => (rank === 0 ? 'full' : String(rank)), drop: 6 },
    { head: 'STATE', cell: ({ state }) => runState(state) },
    { head: 'STEP', cell: ({ step }) => String(step) },
    { head: 'TOKENS', cell: ({ tokens }) => count(tokens) },
    { head: 'LOSS', cell: ({ loss }) => figure(loss), ...(perToken ? { drop: 1 } : {}) },
    ...(perToken ? [{ head: 'PER TOKEN', cell: ({ lossPerToken }: RunRow) => figure(lossPerToken) }] : []),
    { head: 'GRAD NORM', cell: ({ gradNorm }) => figure(gradNorm), drop: 5 },
    { head: 'TOKENS/S', cell: ({ tokensPerSecond }) => count(tokensPerSecond) },
    { head: 'STEP TIME', cell: ({ stepMs }) => milliseconds(stepMs), drop: 4 },
    { head: 'QUEUE', cell: ({ queueMs }) => milliseconds(queueMs), drop: 7 },
    {
      head: 'LAST REQUEST',
      cell: ({ lastRequest }) => `${formatDuration(nowMs - lastRequest)} ago`,
      drop: 2,
      passing: true,
    },
    ...(several ? [{ head: 'SERVER', cell: ({ instance }: RunRow) => instance, drop: 8 }] : []),
  ];
}

/** Why it is lost. */
export function belowRun({ reason }: RunRow): Cell[] {
  return reason === null ? [] : [{ text: reason, format: 'yellow' }];
}

/** A state in its colour. */
export function runState(state: RunStatus['state']): {
  readonly text: string;
  readonly format: 'green' | 'red' | 'yellow';
} {
  return { text: state, format: state === 'ready' ? 'green' : state === 'lost' ? 'red' : 'yellow' };
}

/** Enough of an id to tell a run from others: the beginning of its session's, and its number: `3f2a9c1b:0`. */
export function runWord(id: string): string {
  const [, session, number] = /^([^:]{8})[^:]*:train:(\d+)$/.exec(id) ?? [];
  return session === undefined || number === undefined ? id : `${session}:${number}`;
}

/**
 * The run that was meant.
 * @param word its id, the beginning of it, or what {@link runWord} makes of it with any number of its session's letters
 * @throws `USAGE` for several, `RUN_NOT_FOUND` for none
 */
export function chosenRun(word: string, rows: readonly RunRow[]): RunRow {
  const [, session, number] = /^([^:]+):(\d+)$/.exec(word) ?? [];
  const fits = ({ id }: RunRow): boolean =>
    id.startsWith(word) || (session !== undefined && id.startsWith(session) && id.endsWith(`:train:${number}`));
  const exact = rows.filter(({ id }) => id === word);
  const matching = exact.length > 0 ? exact : rows.filter(fits);
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  if (matching.length > 1) {
    const words = matching.map(({ id }) => runWord(id));
    const some = words.length > 8 ? [...words.slice(0, 8), '…'] : words;
    throw new TwinkleError('USAGE', `"${word}" may be any of ${matching.length} runs: ${some.join(', ')}`);
  }
  throw new TwinkleError(
    'RUN_NOT_FOUND',
    `there is no run "${word}"${didYouMean(
      word,
      rows.map(({ id }) => runWord(id)),
    )}; see \`twinkle-node runs\``,
  );
}
