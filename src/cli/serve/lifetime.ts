/** A running head from its start to its end: says how it is, obeys signals, and gives the exit code. */
import type { ServeConfig } from '../../config/types.js';
import { asTwinkleError, EXIT, TwinkleError } from '../../errors.js';
import type { Head, HeadEvents } from '../../runtime/types.js';
import type { CliIo } from '../io.js';
import type { ReadyFacts, Reporter } from './reporter.js';
import type { EndSignals } from './signals.js';

/** What {@link superviseHead} needs. */
export interface Lifetime {
  readonly config: ServeConfig;
  readonly facts: Omit<ReadyFacts, 'url'>;
  readonly reporter: Reporter;
  readonly signals: EndSignals;
  readonly io: CliIo;
  /** sd_notify(3); does nothing where no service manager listens. */
  readonly notify: (state: string) => void;
}

/** What is said while a head runs; to be given to its start, as a small model is ready before that resolves. */
export function headListeners({ reporter, notify }: Lifetime): Partial<HeadEvents> {
  return {
    progress(model, progress) {
      reporter.progress(model, progress);
      notify(`STATUS=${model}: ${progress.phase}`);
    },
    failed: (model, reason, incident) => reporter.failed(model, reason, incident),
    recovered: (model, elapsedMs) => reporter.recovered(model, elapsedMs),
  };
}

/**
 * Stay with the head until a signal or a fatal error ends it; nothing of it is left afterwards.
 * @returns 0 after a clean drain, 130 or 143 when it was forced
 * @throws the fatal error
 */
export async function superviseHead(head: Head, life: Lifetime): Promise<number> {
  const { reporter, signals, io } = life;
  const fatal = new Promise<TwinkleError>((resolve) =>
    head.on('fatal', (error) => resolve(asTwinkleError(error, 'GANG_FAILED'))),
  );
  const dump = (): void => void io.stderr.write(`${JSON.stringify(head.status(), null, 2)}\n`);
  io.signals.on('SIGUSR2', dump);
  try {
    const started = head.ready().then(
      () => null,
      (error: unknown) => asTwinkleError(error, 'GANG_FAILED'),
    );
    const first = await Promise.race([started, fatal, signals.first]);
    if (first instanceof TwinkleError) throw first;
    if (first === null) {
      reporter.ready({ ...life.facts, url: head.url });
      life.notify(`READY=1\nSTATUS=serving on ${head.url}`);
      const end = await Promise.race([fatal, signals.first]);
      if (end instanceof TwinkleError) throw end;
    }
    return await drain(head, life);
  } finally {
    reporter.clear();
    io.signals.off('SIGUSR2', dump);
    await head.close();
  }
}

async function drain(head: Head, life: Lifetime): Promise<number> {
  const { config, reporter, signals } = life;
  life.notify('STOPPING=1');
  const timeoutMs = config.supervision.shutdownTimeoutMs;
  reporter.note(`shutting down: running requests get ${timeoutMs / 1000} s (again to end at once)`);
  reporter.event('draining', { timeout_ms: timeoutMs });
  const clean = await Promise.race([head.drain(timeoutMs), signals.second.then(() => false)]);
  reporter.event('stopped', { clean });
  if (!clean) reporter.note('requests were cut');
  return clean ? EXIT.ok : (signals.forcedCode ?? EXIT.unexpected);
}
