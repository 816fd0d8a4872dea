/**
 * A load process: raw keep-alive sockets that count, so that the client costs as little as it can on a shared machine.
 * Run by `fork` with one JSON argument; sends its result as a message. Knows two answers: whole responses, and SSE streams.
 */
import { connect } from 'node:net';

const { port, connections, durationMs, method = 'GET', path, body = '', sse = false } = JSON.parse(process.argv[2]);
const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${
  body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
}\r\n`;
const request = Buffer.from(head + body);
const END = Buffer.from('0\r\n\r\n');
const HEAD_END = Buffer.from('\r\n\r\n');
const EVENT = Buffer.from('data: ');

let events = 0;
let requests = 0;
let failures = 0;
const latencies = [];
const firsts = [];
let over = false;

function countEvents(chunk) {
  let count = 0;
  for (let at = chunk.indexOf(EVENT); at >= 0; at = chunk.indexOf(EVENT, at + 6)) count += 1;
  return count;
}

function worker() {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    let sent = 0;
    let first = true;
    let pending = Buffer.alloc(0);
    const ask = () => {
      if (over) return socket.end();
      sent = performance.now();
      first = true;
      socket.write(request);
    };
    const answered = () => {
      requests += 1;
      latencies.push(performance.now() - sent);
      ask();
    };
    socket.on('connect', ask);
    socket.on('data', (chunk) => {
      if (first) {
        first = false;
        firsts.push(performance.now() - sent);
        if (!chunk.subarray(0, 12).includes('200')) failures += 1;
      }
      if (sse) {
        events += countEvents(chunk);
        if (chunk.length >= END.length && chunk.subarray(-END.length).equals(END)) answered();
        return;
      }
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const end = pending.indexOf(HEAD_END);
      if (end < 0) return;
      const length = /content-length: (\d+)/i.exec(pending.subarray(0, end).toString('latin1'));
      if (pending.length < end + 4 + Number(length?.[1] ?? 0)) return;
      pending = Buffer.alloc(0);
      answered();
    });
    socket.on('close', resolve);
    socket.on('error', resolve);
  });
}

const started = performance.now();
const timer = setTimeout(() => {
  over = true;
}, durationMs);
await Promise.all(Array.from({ length: connections }, worker));
clearTimeout(timer);
const seconds = (performance.now() - started) / 1000;
const quantile = (values, q) =>
  values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0;
process.send({
  requests,
  failures,
  events,
  seconds,
  requestsPerSecond: requests / seconds,
  // An answer ends with [DONE], which is no token.
  eventsPerSecond: (events - requests) / seconds,
  p50Ms: quantile(latencies, 0.5),
  p99Ms: quantile(latencies, 0.99),
  firstP50Ms: quantile(firsts, 0.5),
  firstP99Ms: quantile(firsts, 0.99),
});
