/** `--watch` with a clock and a terminal that are fakes. */
import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { Picture } from '../../../../src/cli/list/picture.js';
import { cutToSize, isScreen, screenViewer, streamViewer } from '../../../../src/cli/list/viewers.js';
import { type Viewer, type WatchClock, watch } from '../../../../src/cli/list/watch.js';
import { deferred } from '../support.js';

class FakeClock implements WatchClock {
  nowMs = 0;
  due: { at: number; act: () => void } | null = null;
  wallMs(): number {
    return this.nowMs;
  }
  after(ms: number, act: () => void): () => void {
    const mine = { at: this.nowMs + ms, act };
    this.due = mine;
    return () => {
      if (this.due === mine) this.due = null;
    };
  }
  /** Let time pass; microtasks run before it returns. */
  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    if (this.due !== null && this.due.at <= this.nowMs) {
      const { act } = this.due;
      this.due = null;
      act();
    }
    await settled();
  }
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const picture = (text: string, notes: string[] = [], mark = text): Picture => ({
  text: () => `${text}\n`,
  mark: () => mark,
  notes,
});

function collector() {
  const shown: string[] = [];
  let closed = 0;
  const viewer: Viewer = {
    show: (one, wallMs) => void shown.push(`${wallMs}:${one.text(null).trimEnd()}`),
    close: () => void closed++,
  };
  return { shown, viewer, closed: () => closed };
}

describe('watch', () => {
  test('waits the whole interval after each picture, however long it took, and never has two under way', async () => {
    const [clock, signals, seen] = [new FakeClock(), new EventEmitter(), collector()];
    const asked: { at: number; answer: (picture: Picture) => void }[] = [];
    const take = () => {
      const { promise, resolve } = deferred<Picture>();
      asked.push({ at: clock.nowMs, answer: resolve });
      return promise;
    };
    const ended = watch(take, { io: { signals }, intervalMs: 2000, viewer: seen.viewer, clock });
    await clock.pass(5000);
    expect(asked.map(({ at }) => at)).toEqual([0]);
    asked[0]?.answer(picture('one'));
    await settled();
    await clock.pass(1999);
    expect(asked).toHaveLength(1);
    await clock.pass(1);
    expect(asked.map(({ at }) => at)).toEqual([0, 7000]);
    asked[1]?.answer(picture('two'));
    await settled();
    signals.emit('SIGINT');
    await ended;
    expect(seen.shown).toEqual(['5000:one', '7000:two']);
    expect([seen.closed(), clock.due, signals.listenerCount('SIGINT')]).toEqual([1, null, 0]);
  });

  test.each(['SIGINT', 'SIGTERM'])('%s ends it in the middle of a picture', async (signal) => {
    const [clock, signals, seen] = [new FakeClock(), new EventEmitter(), collector()];
    const ended = watch(() => new Promise(() => {}), { io: { signals }, intervalMs: 1, viewer: seen.viewer, clock });
    await settled();
    signals.emit(signal);
    await ended;
    expect([seen.shown, seen.closed()]).toEqual([[], 1]);
  });

  test('what fails ends it, and the terminal is given back first', async () => {
    const [clock, signals, seen] = [new FakeClock(), new EventEmitter(), collector()];
    const take = () => Promise.reject(new Error('no addon'));
    await expect(watch(take, { io: { signals }, intervalMs: 1, viewer: seen.viewer, clock })).rejects.toThrow(
      'no addon',
    );
    expect(seen.closed()).toBe(1);
  });
});

describe('on a stream', () => {
  test('each change once, a note when it is new', () => {
    let out = '';
    let err = '';
    const io = {
      stdout: { write: (text: string) => (out += text) },
      stderr: { write: (text: string) => (err += text) },
    };
    const viewer = streamViewer(io, '\n');
    viewer.show(picture('a', ['mute']), 0);
    viewer.show(picture('a again', ['mute'], 'a'), 1);
    viewer.show(picture('b', ['mute', 'other']), 2);
    viewer.show(picture('b', []), 3);
    viewer.show(picture('b', ['mute']), 4);
    viewer.show(picture('a'), 5);
    viewer.close();
    expect(out).toBe('a\n\nb\n\na\n');
    expect(err).toBe('mute\nother\nmute\n');
  });
});

/** A terminal that understands what the screen viewer says. */
class FakeTerminal {
  columns = 20;
  rows = 6;
  isTTY = true;
  alternate = false;
  cursor = true;
  writes: string[] = [];
  lines: string[] = [];
  write(text: string): void {
    this.writes.push(text);
    if (text.includes('\u001b[?1049h')) this.alternate = true;
    if (text.includes('\u001b[?1049l')) this.alternate = false;
    if (text.includes('\u001b[?25l')) this.cursor = false;
    if (text.includes('\u001b[?25h')) this.cursor = true;
    if (!text.startsWith('\u001b[H')) return;
    expect(text.endsWith('\u001b[J')).toBe(true);
    const body = text.slice('\u001b[H'.length, -'\u001b[J'.length);
    this.lines = body.split('\r\n').map((line) => {
      expect(line.endsWith('\u001b[K')).toBe(true);
      return line.slice(0, -'\u001b[K'.length);
    });
    expect(this.lines.length).toBeLessThanOrEqual(this.rows);
    for (const line of this.lines) expect([...line].length).toBeLessThan(this.columns);
  }
}

describe('on a terminal', () => {
  const open = () => {
    const [stdout, signals] = [new FakeTerminal(), new EventEmitter()];
    let suspended = 0;
    const io = { stdout, signals, env: { NO_COLOR: '1' } };
    const viewer = screenViewer({ io, title: 'tw list x', suspend: () => void suspended++ });
    return { stdout, signals, viewer, suspended: () => suspended };
  };
  const tall = (count: number): Picture => ({
    text: (width) => `${Array.from({ length: count }, (_, n) => `${n} of ${width} and so on and on`).join('\n')}\n`,
    mark: () => '',
    notes: [],
  });

  test('one write a frame, cut to height and width; a new size is drawn at once from the same picture', () => {
    const { stdout, signals, viewer } = open();
    expect([stdout.alternate, stdout.cursor]).toEqual([true, false]);
    viewer.show(tall(9), 0);
    expect(stdout.writes).toHaveLength(2);
    expect(stdout.lines).toHaveLength(6);
    expect(stdout.lines[0]).toMatch(/^tw list x {2}\d\d:\d\d:\d/);
    expect(stdout.lines.slice(1)).toEqual([
      '',
      '0 of 19 and so on …',
      '1 of 19 and so on …',
      '2 of 19 and so on …',
      '… 6 more lines',
    ]);
    stdout.columns = 60;
    stdout.rows = 30;
    signals.emit('SIGWINCH');
    expect(stdout.lines).toHaveLength(11);
    expect(stdout.lines[2]).toBe('0 of 59 and so on and on');
    viewer.close();
    expect([stdout.alternate, stdout.cursor, signals.eventNames()]).toEqual([false, true, []]);
  });

  test('who does not answer is named in the picture', () => {
    const { stdout, viewer } = open();
    viewer.show(picture('body', ['mute: no']), 0);
    expect(stdout.lines.slice(1)).toEqual(['mute: no', '', 'body']);
    viewer.close();
  });

  test('Ctrl-Z gives the terminal back until it goes on', () => {
    const { stdout, signals, viewer, suspended } = open();
    viewer.show(picture('body'), 0);
    signals.emit('SIGTSTP');
    expect([stdout.alternate, stdout.cursor, suspended()]).toEqual([false, true, 1]);
    stdout.lines = [];
    signals.emit('SIGCONT');
    expect([stdout.alternate, stdout.lines.at(-1)]).toEqual([true, 'body']);
    viewer.close();
  });

  test('a terminal that knows only lines is no screen', () => {
    const io = (isTTY: boolean, env: Record<string, string>) => ({ stdout: { write() {}, isTTY }, env });
    expect(isScreen(io(true, {}))).toBe(true);
    expect(isScreen(io(true, { TERM: 'dumb' }))).toBe(false);
    expect(isScreen(io(false, {}))).toBe(false);
  });

  test('even a terminal of one line holds', () => {
    expect(cutToSize(['head'], ['a', 'b'], { columns: 30, rows: 1 })).toEqual(['… 3 more lines']);
    expect(cutToSize(['head'], ['a', 'b'], { columns: 30, rows: 3 })).toEqual(['head', 'a', 'b']);
  });
});
