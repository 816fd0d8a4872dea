import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { errorOf, errorValue, TaskError } from '../../../src/work/failures.js';
import { raised } from './played-worker.js';

const own = (message: string) => errorOf(raised('twinkle_node.errors.ActorDiedError', message).parts[0] as Uint8Array);

describe('an error from Python', () => {
  it('is a task error with what was raised there', () => {
    const error = errorOf(raised('KeyError', "'k'").parts[0] as Uint8Array) as TaskError;
    expect(error).toBeInstanceOf(TaskError);
    expect(error).toMatchObject({
      ...{ code: 'TASK_FAILED', remoteType: 'KeyError', remoteMessage: "'k'", remoteTraceback: 'Traceback' },
      ...{ remoteWhere: 'Counter.go', details: { type: 'KeyError', where: 'Counter.go' } },
      message: "Counter.go raised KeyError: 'k'\n\nThe traceback over there:\nTraceback",
    });
    expect(errorOf(raised('StopIteration', '').parts[0] as Uint8Array).message).toMatch(
      /^Counter.go raised StopIteration\n/,
    );
  });

  it('of the package is what it is', () => {
    expect(own('actor 1 is dead [ACTOR_DIED]')).toMatchObject({ code: 'ACTOR_DIED', message: 'actor 1 is dead' });
    expect(own('x [ACTOR_DIED]')).not.toBeInstanceOf(TaskError);
  });

  it.each(['x [NO_SUCH_CODE]', 'x [TASK_FAILED]', 'x [ACTOR_DIED] and more', 'x'])(
    'without a code of ours is a task error: %s',
    (message) => {
      expect(own(message)).toBeInstanceOf(TaskError);
    },
  );

  it('of another package with a code in its text is a task error', () => {
    expect(errorOf(raised('my.errors.E', 'x [ACTOR_DIED]').parts[0] as Uint8Array)).toBeInstanceOf(TaskError);
  });
});

describe('an error that travels on', () => {
  it('from Python is the same bytes', () => {
    const { parts } = raised();
    const { value, parts: again } = errorValue(errorOf(parts[0] as Uint8Array), 'go');
    expect(value).toEqual({ f: 'error', s: [parts[0]?.byteLength], at: '', refs: [] });
    expect(again.map((part) => [...part])).toEqual(parts.map((part) => [...part]));
  });

  it('keeps its code', () => {
    const { parts } = errorValue(new TwinkleError('OBJECT_LOST', 'it is gone'), 'go');
    expect(errorOf(parts[0] as Uint8Array)).toMatchObject({
      ...{ code: 'OBJECT_LOST', message: 'it is gone', details: { where: 'go' } },
    });
  });

  it('of the program is a task error', () => {
    const { parts } = errorValue(new RangeError('mine'), 'go');
    expect(errorOf(parts[0] as Uint8Array)).toMatchObject({ code: 'TASK_FAILED', remoteType: 'RangeError' });
  });
});
