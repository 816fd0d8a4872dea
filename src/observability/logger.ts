/** Logs: one event name and fields; JSON lines in a file, or wherever the embedder wants them. Never keys, never prompts. */
import { pino } from 'pino';

/** What the code logs through; pino's own loggers fit. */
export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/** A logger that says nothing: the default of embedding. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A logger that owns a file. */
export interface FileLogger extends Logger {
  /** Close the file; what is logged later is dropped. */
  close(): void;
}

/** JSON lines appended to a file (mode 0600), written synchronously: a crash loses none. */
export function fileLogger(level: 'trace' | 'debug' | 'info' | 'warn' | 'error', path: string): FileLogger {
  const destination = pino.destination({ dest: path, sync: true, mode: 0o600, append: true });
  const file = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, destination);
  let open = true;
  const write = (at: keyof Logger) => (fields: object, event: string) => {
    if (open) file[at](fields, event);
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    close: () => {
      open = false;
      destination.end();
    },
  };
}
