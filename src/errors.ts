/**
 * Every error that twinkle-node raises on purpose: its code, HTTP status, exit code and title.
 * `docs/errors.md` is generated from this table. Nothing here knows who raises an error.
 */

/** Exit codes of the CLI. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  infeasible: 3,
  device: 4,
  crashLoop: 5,
  portInUse: 6,
  cannotJoin: 7,
} as const;

interface ErrorSpec {
  /** HTTP status that a gateway answers with. */
  readonly status: number;
  /** Exit code of the CLI when the error ends a command. */
  readonly exit: number;
  /** `error.type` in an OpenAI error body. */
  readonly type: string;
  /** One line for the reference. */
  readonly title: string;
}

const invalid = { status: 400, exit: EXIT.usage, type: 'invalid_request_error' } as const;
const unavailable = { status: 503, exit: EXIT.unexpected, type: 'service_unavailable_error' } as const;
const internal = { status: 500, exit: EXIT.unexpected, type: 'internal_server_error' } as const;

/** The table: code → what it means outside. */
export const ERRORS = {
  USAGE: { ...invalid, title: 'A flag, option or argument is wrong.' },
  CONFIG_INVALID: { ...invalid, title: 'A configuration value is wrong.' },
  INVALID_REQUEST: { ...invalid, title: 'A request field has a wrong type or value.' },
  UNKNOWN_FIELD: { ...invalid, title: 'A request names a field that this server does not know.' },
  UNSUPPORTED_PARAMETER: { ...invalid, title: 'A known field asks for something that the engine cannot do.' },
  CONTEXT_LENGTH_EXCEEDED: { ...invalid, title: 'Prompt and requested tokens do not fit the model.' },
  CHAT_TEMPLATE: { ...invalid, title: 'The chat template is missing or refused the messages.' },
  BODY_TOO_LARGE: { ...invalid, status: 413, title: 'The request body is over the limit.' },
  UNAUTHORIZED: { ...invalid, status: 401, type: 'authentication_error', title: 'The API key is missing or wrong.' },
  MODEL_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such model is served.' },
  ROUTE_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such route.' },
  METHOD_NOT_ALLOWED: { ...invalid, status: 405, title: 'The route exists with another method.' },
  UNSUPPORTED_MEDIA_TYPE: {
    ...invalid,
    status: 415,
    title: 'The content type or encoding of the body is not one that the route takes.',
  },
  OVERLOADED: { ...unavailable, status: 429, type: 'rate_limit_error', title: 'The queue is full; try again later.' },
  NOT_READY: { ...unavailable, title: 'The model is still starting, restarting or has failed.' },
  DRAINING: { ...unavailable, title: 'The server is shutting down and takes no new work.' },
  NODE_LOST: { ...internal, title: 'A node left the cluster while it was needed.' },
  RANK_FAILED: { ...internal, title: 'A rank process ended or broke while it served the request.' },
  GANG_FAILED: { ...internal, exit: EXIT.crashLoop, title: 'A gang of ranks could not be started or kept alive.' },
  LOAD_FAILED: { ...internal, exit: EXIT.usage, title: 'The model could not be loaded.' },
  ENGINE_ERROR: { ...internal, title: 'The engine raised an error for this request.' },
  ENGINE_ANSWER: { ...internal, status: 502, title: 'The answer of the engine’s own server is no HTTP answer.' },
  DEADLINE_EXCEEDED: {
    ...internal,
    status: 504,
    type: 'timeout_error',
    title: 'The deadline passed before the work was done.',
  },
  ABORTED: { ...internal, status: 499, type: 'aborted', title: 'The caller withdrew the request.' },
  PROTOCOL: { ...internal, title: 'A peer broke the message contract or speaks another version.' },
  CHANNEL_CLOSED: { ...internal, title: 'The channel to a rank is closed.' },
  NATIVE_MISSING: { ...internal, exit: EXIT.device, title: 'The native addon could not be loaded.' },
  NATIVE: { ...internal, title: 'A system call of the native addon failed.' },
  MEMLOCK_LIMIT: { ...internal, exit: EXIT.device, title: 'Memory cannot be locked: RLIMIT_MEMLOCK is too small.' },
  SHM_FULL: { ...internal, exit: EXIT.device, title: 'Shared memory is exhausted.' },
  SEGMENT_CLOSED: { ...internal, title: 'A shared segment is used after it was closed.' },
  DEVICE_MISSING: { ...internal, exit: EXIT.device, title: 'A requested device does not exist here.' },
  INFEASIBLE: { ...internal, exit: EXIT.infeasible, title: 'The placement can never fit these nodes.' },
  PLACEMENT_INVALID: { ...invalid, title: 'A placement group, task or node description is wrong in itself.' },
  GROUP_NAME_TAKEN: { ...invalid, status: 409, title: 'A placement group of that name exists in the namespace.' },
  TASK_UNSCHEDULABLE: {
    ...invalid,
    status: 409,
    exit: EXIT.infeasible,
    title: 'The strategy of a task or actor allows no node any more.',
  },
  ACTOR_NAME_TAKEN: { ...invalid, status: 409, title: 'An actor of that name exists in the namespace.' },
  ACTOR_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such actor.' },
  ACTOR_DIED: { ...internal, title: 'The actor is dead, or died before it answered.' },
  WORKER_DIED: { ...internal, title: 'The process that ran a task ended before it answered.' },
  TASK_FAILED: { ...internal, title: 'A task or a method of an actor raised.' },
  SERIALIZATION: { ...invalid, title: 'A value cannot travel to another process.' },
  OBJECT_LOST: { ...internal, status: 410, title: 'An object has no value any more.' },
  SESSION_ENDED: { ...invalid, status: 410, type: 'not_found_error', title: 'A session has ended, or never was.' },
  SESSION_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such session.' },
  SAMPLER_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such sampling session.' },
  ADAPTER_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such adapter of that client.' },
  RUN_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such training run.' },
  CHECKPOINT_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such checkpoint.' },
  CHECKPOINT_DAMAGED: { ...internal, title: 'A checkpoint is torn or was changed.' },
  CHECKPOINT_EXISTS: { ...invalid, title: 'A checkpoint of that name exists.' },
  STORAGE_FAILED: { ...internal, title: 'The disk, or the store of checkpoints, is full or refuses.' },
  OUT_OF_MEMORY: { ...internal, title: 'The device has too little memory for this request.' },
  NON_FINITE: { ...invalid, title: 'A loss or a gradient is not finite.' },
  FUTURE_EXPIRED: {
    ...invalid,
    status: 410,
    type: 'not_found_error',
    title: 'The answer of a request is not kept any more.',
  },
  GROUP_NOT_FOUND: { ...invalid, status: 404, type: 'not_found_error', title: 'No such placement group.' },
  GROUP_REMOVED: { ...internal, status: 410, title: 'The placement group was removed.' },
  HEAD_UNREACHABLE: {
    ...unavailable,
    exit: EXIT.cannotJoin,
    title: 'No head answers where one is expected, or the connection to it was lost.',
  },
  JOURNAL_FAILED: { ...unavailable, title: 'The head cannot write its journal now, so it acknowledges nothing.' },
  JOURNAL_IN_USE: { ...internal, exit: EXIT.usage, title: 'Another process has the journal open.' },
  JOURNAL_DAMAGED: { ...internal, title: 'The journal of a head cannot be read.' },
  PYTHON_MISSING: { ...internal, exit: EXIT.usage, title: 'No suitable Python was found.' },
  PYTHON_ENV: { ...internal, exit: EXIT.usage, title: 'The Python environment of the engine is missing or broken.' },
  RUNTIME_ENV: { ...internal, title: 'What a task or an actor asks for in `runtime_env` could not be made.' },
  SETUP_FAILED: { ...internal, exit: EXIT.unexpected, title: 'The Python environment could not be made.' },
  PORT_IN_USE: { ...internal, exit: EXIT.portInUse, title: 'The address to listen on is taken.' },
  INTERNAL: { ...internal, title: 'An error that nobody foresaw: please report it.' },
} as const satisfies Record<string, ErrorSpec>;

/** A code of the table {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Options of a {@link TwinkleError}. */
export interface TwinkleErrorOptions {
  /** The request field at fault, as in OpenAI's `error.param`. */
  readonly param?: string;
  /** Facts for programs: rank, node, signal, limits. Plain JSON. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What caused it. */
  readonly cause?: unknown;
  /** Milliseconds after which a retry makes sense; becomes `Retry-After`. */
  readonly retryAfterMs?: number;
}

/** An error with a code of the table; the message says what is wrong and what to do. */
export class TwinkleError extends Error {
  override readonly name = 'TwinkleError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, message: string, options: TwinkleErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** HTTP status of this error. */
  get status(): number {
    return ERRORS[this.code].status;
  }

  /** Exit code of the CLI for this error. */
  get exitCode(): number {
    return ERRORS[this.code].exit;
  }

  /** OpenAI's `error.type`. */
  get type(): string {
    return ERRORS[this.code].type;
  }
}

/** Whether `code`, as received from a peer, is one of ours. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** Any thrown value as a {@link TwinkleError}; a foreign one becomes `INTERNAL` with its cause kept. */
export function asTwinkleError(thrown: unknown, code: ErrorCode = 'INTERNAL'): TwinkleError {
  if (thrown instanceof TwinkleError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TwinkleError(code, message, { cause: thrown });
}
