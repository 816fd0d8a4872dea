/**
 * `npm run bench [-- CASE…]`: runs the cases, prints a table and writes bench/results/<case>.json.
 * A row: what, ours, the peer's or the floor's figure from the same run, the ratio, the target and whether it is met.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const folder = new URL('./cases/', import.meta.url);
const results = fileURLToPath(new URL('./results/', import.meta.url));
const all = readdirSync(folder).map((name) => name.replace('.mjs', ''));
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no such case: ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}

const format = (value) =>
  value === null || value === undefined
    ? '–'
    : value >= 1000
      ? Math.round(value).toLocaleString('en')
      : String(+value.toPrecision(3));

function verdict({ ours, target, lowerIsBetter }) {
  if (target === undefined) return '';
  return (lowerIsBetter ? ours <= target : ours >= target) ? 'met' : 'MISSED';
}

const machine = {
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
};
mkdirSync(results, { recursive: true });
console.log(`${machine.cpu}, ${machine.cores} cores, node ${machine.node}\n`);
console.log(
  ['what'.padEnd(58), 'ours'.padStart(10), 'peer'.padStart(10), 'ratio'.padStart(7), 'target'.padStart(10), ''].join(
    ' ',
  ),
);
let missed = 0;
for (const name of asked.length > 0 ? asked : all) {
  const { rows } = await import(new URL(`${name}.mjs`, folder));
  const done = [];
  for await (const row of rows()) {
    const ratio = row.peer === undefined ? null : row.ours / row.peer;
    const state = verdict(row);
    if (state === 'MISSED') missed += 1;
    const bound = row.target === undefined ? '' : `${row.lowerIsBetter ? '≤' : '≥'} ${format(row.target)}`;
    console.log(
      [
        `${row.what} (${row.unit})`.padEnd(58),
        format(row.ours).padStart(10),
        format(row.peer).padStart(10),
        (ratio === null ? '–' : ratio.toFixed(2)).padStart(7),
        bound.padStart(10),
        state,
      ].join(' '),
    );
    if (row.note !== undefined) console.log(`    ${row.note}`);
    done.push({ ...row, ...(ratio === null ? {} : { ratio }), ...(state === '' ? {} : { verdict: state }) });
  }
  writeFileSync(
    `${results}${name}.json`,
    `${JSON.stringify({ at: new Date().toISOString(), machine, rows: done }, null, 2)}\n`,
  );
}
if (missed > 0) console.log(`\n${missed} target(s) missed`);
