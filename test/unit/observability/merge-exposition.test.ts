/** Metrics of engines beside our own: one valid text. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { mergeExposition } from '../../../src/observability/merge-exposition.js';
import { parseExposition } from '../../../src/observability/parse-exposition.js';

const OWN = `# HELP twinkle_up Up.
# TYPE twinkle_up gauge
twinkle_up 1
# HELP process_cpu_seconds_total CPU.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 2
`;

const page = (running: number): string => `# HELP vllm:num_requests_running Number of requests in \\"batches\\".
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="demo"} ${running}.0
# HELP process_cpu_seconds_total Of Python.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 9.0
# HELP vllm:ttft_seconds Time.
# TYPE vllm:ttft_seconds histogram
vllm:ttft_seconds_bucket{engine="0",le="0.1",model_name="demo"} 1.0
vllm:ttft_seconds_bucket{engine="0",le="+Inf",model_name="demo"} 2.0
vllm:ttft_seconds_count{engine="0",model_name="demo"} 2.0
vllm:ttft_seconds_sum{engine="0",model_name="demo"} 0.5
# HELP python_info Python.
# TYPE python_info gauge
python_info{version="3.11"} 1.0
`;

const engine = (at: number, text: string, model = 'demo') => ({ model, engine: String(at), text });

it('families once, series by engine, ours first and untouched', () => {
  expect(
    mergeExposition(OWN, [engine(0, page(3)), engine(1, page(4))]),
  ).toBe(`${OWN}# HELP vllm:num_requests_running Number of requests in \\"batches\\".
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="demo",engine="0"} 3.0
vllm:num_requests_running{model_name="demo",engine="1"} 4.0
# HELP vllm:ttft_seconds Time.
# TYPE vllm:ttft_seconds histogram
vllm:ttft_seconds_bucket{le="0.1",model_name="demo",engine="0"} 1.0
vllm:ttft_seconds_bucket{le="+Inf",model_name="demo",engine="0"} 2.0
vllm:ttft_seconds_count{model_name="demo",engine="0"} 2.0
vllm:ttft_seconds_sum{model_name="demo",engine="0"} 0.5
vllm:ttft_seconds_bucket{le="0.1",model_name="demo",engine="1"} 1.0
vllm:ttft_seconds_bucket{le="+Inf",model_name="demo",engine="1"} 2.0
vllm:ttft_seconds_count{model_name="demo",engine="1"} 2.0
vllm:ttft_seconds_sum{model_name="demo",engine="1"} 0.5
# HELP python_info Python.
# TYPE python_info gauge
python_info{version="3.11",model_name="demo",engine="0"} 1.0
python_info{version="3.11",model_name="demo",engine="1"} 1.0
`);
});

it('two models differ by model_name', () => {
  const text = mergeExposition('', [engine(0, 'x 1\n', 'a'), engine(0, 'x 2\n', 'b"\\\n')]);
  expect(text).toBe('x{model_name="a",engine="0"} 1\nx{model_name="b\\"\\\\\\n",engine="0"} 2\n');
});

it('what is no sample is left out, and what is stays as it was', () => {
  const text = [
    'a{x="}",y="a\\"b,c\\\\"} 1e3 1700000000000',
    'b{} +Inf',
    'c NaN',
    'd{x="1",} -1',
    'broken{x="1" 2',
    'nonsense',
    '<html>',
    'e{x=1} 2',
    'f 1 # {trace="x"} 1',
    '# EOF',
    '# a remark',
    '9 9',
    'a{x="}",y="a\\"b,c\\\\"} 7',
  ].join('\r\n');
  expect(mergeExposition('', [engine(5, text, 'm')]).split('\n')).toEqual([
    'a{x="}",y="a\\"b,c\\\\",model_name="m",engine="5"} 1e3 1700000000000',
    'b{model_name="m",engine="5"} +Inf',
    'c{model_name="m",engine="5"} NaN',
    'd{x="1",model_name="m",engine="5"} -1',
    '',
  ]);
});

it('a family whose type another engine knows otherwise is the first one’s', () => {
  const gauge = '# TYPE x gauge\nx{engine="0"} 1\n';
  const counter = '# TYPE x counter\nx{engine="0"} 2\n';
  expect(mergeExposition('', [engine(0, gauge), engine(1, counter)])).toBe(
    '# TYPE x gauge\nx{model_name="demo",engine="0"} 1\n',
  );
});

it('a series is the same in whatever order its labels come', () => {
  const text = 'x{a="1",b="2"} 1\nx{b="2",a="1"} 2\n';
  expect(mergeExposition('', [engine(0, text)])).toBe('x{a="1",b="2",model_name="demo",engine="0"} 1\n');
});

it('nothing to add changes nothing', () => {
  expect(mergeExposition(OWN, [])).toBe(OWN);
  expect(mergeExposition(OWN, [engine(0, '')])).toBe(OWN);
  expect(mergeExposition(OWN, [engine(0, OWN)])).toBe(OWN);
  expect(mergeExposition('a 1', [engine(0, 'b 2')])).toBe('a 1\nb{model_name="demo",engine="0"} 2\n');
});

it('for any texts: no series twice, HELP and TYPE once, families together, ours untouched', () => {
  const line = fc.oneof(
    fc.constantFrom(
      '# TYPE a histogram',
      '# TYPE b counter',
      '# HELP a Words.',
      '# TYPE a gauge',
      '# HELP own Ours.',
      '',
    ),
    fc
      .tuple(
        fc.constantFrom('a', 'a_bucket', 'a_sum', 'b', 'own', 'c'),
        fc.dictionary(fc.constantFrom('engine', 'le', 'model_name', 'x'), fc.constantFrom('0', '1', '}', '\\"', ',')),
        fc.integer(),
      )
      .map(([name, labels, value]) => {
        const inside = Object.entries(labels).map(([label, raw]) => `${label}="${raw}"`);
        return `${name}{${inside.join(',')}} ${value}`;
      }),
    fc.string(),
  );
  const texts = fc.array(
    fc.array(line, { maxLength: 12 }).map((lines) => lines.join('\n')),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(texts, (pages) => {
      const own = '# TYPE own counter\nown 1\n';
      const merged = mergeExposition(
        own,
        pages.map((text, at) => engine(at, text)),
      );
      expect(merged.startsWith(own)).toBe(true);
      const lines = merged.split('\n').filter((one) => one !== '');
      const meta = lines.filter((one) => one.startsWith('#')).map((one) => one.split(' ').slice(0, 3).join(' '));
      expect(new Set(meta).size).toBe(meta.length);
      const families = parseExposition(merged);
      const series = families.flatMap(({ samples }) =>
        samples.map(({ labels, name }) => `${name} ${JSON.stringify([...labels].sort())}`),
      );
      expect(new Set(series).size).toBe(series.length);
      // Read again it is the same: nothing is torn apart or lost.
      expect(series.length).toBe(lines.filter((one) => !one.startsWith('#')).length);
      for (const { labels } of families.filter(({ name }) => name !== 'own').flatMap(({ samples }) => samples)) {
        expect(labels.map(([name]) => name)).toContain('engine');
        expect(labels.map(([name]) => name)).toContain('model_name');
      }
    }),
  );
});
