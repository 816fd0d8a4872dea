/** The answers of all replicas as one answer: vLLM's own where all agree, and replica by replica where they do not. Pure. */
import type { ReplicaAnswer } from '../../serving/types/control.js';

/** An HTTP answer. */
export interface CombinedAnswer {
  readonly status: number;
  /** JSON value; null: an empty body. */
  readonly body: unknown;
}

const well = ({ status }: ReplicaAnswer): boolean => status !== null && status >= 200 && status < 300;

function parsed(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Fields that are equal in all; of yes and no, yes where all say yes. What differs otherwise is in the list only. */
function common(bodies: readonly Fields[]): Fields {
  const [first = {}] = bodies;
  return Object.fromEntries(
    Object.entries(first).flatMap(([name, value]): [string, unknown][] => {
      const values = bodies.map((body) => body[name]);
      if (values.every((other) => JSON.stringify(other) === JSON.stringify(value))) return [[name, value]];
      return values.every((other) => typeof other === 'boolean')
        ? [[name, values.every((other) => other === true)]]
        : [];
    }),
  );
}

/** What went wrong, in a sentence of the engine or of ours. */
function reason({ body, error, status }: ReplicaAnswer): string {
  if (error !== null) return error.message;
  const value = parsed(body);
  const inner = isFields(value) ? (value.error ?? value.detail ?? value.message ?? value) : value;
  const message = isFields(inner) ? (inner.message ?? inner) : inner;
  if (message === null) return `status ${status}`;
  return typeof message === 'string' ? message : JSON.stringify(message);
}

const listed = (answer: ReplicaAnswer): object => ({
  replica: answer.replica,
  ok: well(answer),
  status: answer.status ?? answer.error?.status ?? 500,
  ...(well(answer) ? { answer: parsed(answer.body) } : { error: reason(answer) }),
});

/** @param path of the operation, for advice */
export function combineAnswers(path: string, answers: readonly ReplicaAnswer[]): CombinedAnswer {
  const failed = answers.filter((answer) => !well(answer));
  if (failed.length === 0) {
    const bodies = answers.map(({ body }) => parsed(body));
    const texts = new Set(bodies.map((body) => JSON.stringify(body)));
    if (texts.size === 1) return { status: answers[0]?.status ?? 200, body: bodies[0] ?? null };
    const fields = bodies.every(isFields) ? common(bodies) : {};
    return { status: 200, body: { ...fields, replicas: answers.map(listed) } };
  }
  const statuses = new Set(failed.map(({ error, status }) => status ?? error?.status ?? 500));
  const whole = failed.length === answers.length;
  // All say the same: so do we. Some have done it and some have not: that is a fault, whatever they say.
  const status = whole && statuses.size === 1 ? ([...statuses][0] as number) : 500;
  const reasons = [...new Set(failed.map(reason))];
  const why = reasons.length === 1 ? reasons[0] : failed.map((one) => `${one.replica}: ${reason(one)}`).join('; ');
  const missing = whole && status === 404;
  const message = missing
    ? `the engine does not offer ${path} as it was started: ${ADVICE[path] ?? why}`
    : whole
      ? `no replica did ${path}: ${why}`
      : `${failed.length} of ${answers.length} replicas did not do ${path}, the others did: ${why}`;
  const code = missing ? 'route_not_found' : status < 500 ? 'invalid_request' : 'engine_error';
  const type = missing ? 'not_found_error' : status < 500 ? 'invalid_request_error' : 'internal_server_error';
  return {
    status,
    body: { error: { message, type, param: null, code }, replicas: answers.map(listed) },
  };
}

/** How an engine is started so that it has the route. */
const ADVICE: Readonly<Record<string, string>> = {
  '/start_profile': 'say --profiler-config',
  '/stop_profile': 'say --profiler-config',
};
