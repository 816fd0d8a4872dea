/** `runs RUN`: the figures of a run and the curve of its loss. Pure. */
import type { RunDetail } from '../../runtime/types.js';
import { plot } from '../render/plot.js';
import type { Paint } from '../render/style.js';
import { formatDuration } from '../render/table.js';
import { count, figure, milliseconds } from './figures.js';
import type { Picture } from './picture.js';
import { runState } from './runs.js';

/** A run and its server. */
export interface ShownRun extends RunDetail {
  /** Of the server. */
  readonly instance: string;
}

/** What the terminal is like. */
export interface RunViewOptions {
  readonly paint: Paint;
  /** It shows characters of ASCII alone. */
  readonly ascii: boolean;
  /** Lines of it. */
  readonly rows: number;
  /** Unix ms. */
  readonly nowMs: number;
}

/** Columns where nothing says how many there are, and at most: a longer curve is no clearer. */
const WIDTH = 80;
const MAX_WIDTH = 120;
/** Lines beside those of the curve: head, figures, axis, prompt. */
const OTHER_LINES = 13;

/** One object on a line. */
export function drawRunJson(run: ShownRun): Picture {
  return { text: () => `${JSON.stringify(run)}\n`, mark: () => JSON.stringify(run), notes: [] };
}

/** For people. */
export function drawRun(run: ShownRun, options: RunViewOptions): Picture {
  return {
    text: (width) => `${[...facts(run, options), '', ...curve(run, width ?? WIDTH, options)].join('\n')}\n`,
    mark: () => JSON.stringify(run),
    notes: [],
  };
}

function facts(run: ShownRun, { nowMs, paint }: RunViewOptions): string[] {
  const state = runState(run.state);
  const steps = run.step === run.steps ? '' : ` (${run.steps} of them here)`;
  const perToken = run.lossPerToken === null ? '' : `, ${figure(run.lossPerToken)} per token`;
  const lines: readonly (readonly [string, string])[] = [
    ['model', `${run.model}, ${run.rank === 0 ? 'all parameters' : `LoRA rank ${run.rank}`}, server ${run.instance}`],
    [
      'begun',
      `${formatDuration(nowMs - run.created)} ago, last request ${formatDuration(nowMs - run.lastRequest)} ago`,
    ],
    ['steps', `${run.step}${steps}, ${count(run.tokens)} tokens in ${count(run.datums)} datums`],
    ['loss', `${figure(run.loss)}${perToken}, gradient norm ${figure(run.gradNorm)}`],
    [
      'speed',
      `${count(run.tokensPerSecond)} tokens/s, a step ${milliseconds(run.stepMs)}, in the queue ${milliseconds(run.queueMs)}`,
    ],
    ...(run.samplerGap === null
      ? []
      : [['gap', `${figure(run.samplerGap)} at most between log-probabilities of sampler and trainer`] as const]),
  ];
  return [
    `${paint('bold', run.id)}  ${paint(state.format, state.text)}`,
    ...(run.reason === null ? [] : [`  ${paint('yellow', run.reason)}`]),
    ...lines.map(([name, text]) => `  ${name.padEnd(5)}  ${text}`),
  ];
}

function curve({ curve: points, state }: ShownRun, width: number, { ascii, paint, rows }: RunViewOptions): string[] {
  if (points.length === 0) return [paint('dim', state === 'lost' ? 'it made no step' : 'no step yet')];
  const perToken = points.every(({ lossPerToken }) => lossPerToken !== null);
  const drawn = points.map(({ loss, lossPerToken, step }) => ({
    x: step,
    y: (perToken ? lossPerToken : loss) ?? loss,
  }));
  const height = Math.min(15, Math.max(5, rows - OTHER_LINES)) | 1;
  const options = { width: Math.min(width, MAX_WIDTH), height, ascii, paint };
  return [`loss ${perToken ? 'per token' : 'of a step'}, by step`, ...plot(drawn, options)];
}
