// A class and a function in Python, called from Node: docs/actors-node.md. `node docs/examples/actors.mjs [PYTHON]`
import { createRuntime } from 'twinkle-node';

const [python] = process.argv.slice(2);
const runtime = await createRuntime({ address: 'local', folder: import.meta.dirname, ...(python ? { python } : {}) });
try {
  const square = runtime.task('actors.py:square');
  console.log(await Promise.all([1, 2, 3].map((x) => square.call(x))));
  const counter = await runtime.actor('actors.py:Counter').create(10);
  const five = square.remote(5);
  console.log(await counter.call('increment', five)); // the value of the reference
  for await (const item of counter.stream('down')) console.log(item);
} finally {
  await runtime[Symbol.asyncDispose]();
}
