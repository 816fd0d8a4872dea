/** The floor of streaming: bare Node writes of the same chunks at the same pace, with no engine, no gateway, no framework. */
import { createServer } from 'node:http';

const [tokens, stepMs] = process.argv.slice(2).map(Number);
const chunk = `data: {"id":"cmpl-0123456789abcdef","object":"text_completion","created":1700000000,"model":"mock","choices":[{"index":0,"text":" river","logprobs":null,"finish_reason":null}]}\n\n`;
const open = new Map();
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  open.set(response, tokens);
});
let due = performance.now();
function step() {
  due = Math.max(due + stepMs, performance.now() - 5);
  for (const [response, left] of open) {
    response.write(chunk);
    if (left > 1) open.set(response, left - 1);
    else {
      open.delete(response);
      response.end('data: [DONE]\n\n');
    }
  }
}
function turn() {
  if (performance.now() >= due) step();
  setImmediate(turn);
}
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
turn();
