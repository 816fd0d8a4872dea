/**
 * Metrics of one head, in Prometheus text. Owns a registry of its own, so that two heads live in one process; knows no metric by name.
 * Hot paths add to plain numbers and prom-client sees them only when somebody scrapes.
 */
import { Counter, Gauge, type Metric, Registry } from 'prom-client';

/** Label name → value. */
export type Labels = Readonly<Record<string, string>>;

/** One series of a counter: add to `value`. */
export interface Cell {
  value: number;
}

interface HistogramSample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** One series of a histogram; observing costs a short scan and two additions. */
export class HistogramCell {
  private readonly counts: Float64Array;
  private sum = 0;

  /** @param bounds upper bounds, ascending. */
  constructor(private readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** @param value in the unit of the metric. */
  observe(value: number): void {
    const { bounds, counts } = this;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index += 1;
    counts[index] = (counts[index] as number) + 1;
    this.sum += value;
  }

  /** The lines of the exposition. */
  samples(name: string, labels: Labels): HistogramSample[] {
    let total = 0;
    const buckets = [...this.bounds, '+Inf' as const].map((le, index) => {
      total += this.counts[index] as number;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.sum },
      { metricName: `${name}_count`, labels, value: total },
    ];
  }
}

/** Series of one metric, made at first use and kept. */
export class Family<C> {
  private readonly series = new Map<string, { readonly labels: Labels; readonly cell: C }>();

  constructor(private readonly make: () => C) {}

  /** The series of these labels. Keep it: the look-up is not for hot paths. */
  with(labels: Labels): C {
    const key = JSON.stringify(labels);
    let entry = this.series.get(key);
    if (entry === undefined) {
      entry = { labels, cell: this.make() };
      this.series.set(key, entry);
    }
    return entry.cell;
  }

  /** Every series so far. */
  entries(): Iterable<{ readonly labels: Labels; readonly cell: C }> {
    return this.series.values();
  }
}

/** Sets one series of a gauge or counter during a scrape. */
export type Report = (labels: Labels, value: number) => void;

/** A registry and the four ways to put something into it. */
export class Metrics {
  private readonly registry = new Registry();

  /** Content type of {@link render}. */
  readonly contentType = this.registry.contentType;

  /** A counter fed by plain additions. */
  counter(name: string, help: string, labelNames: readonly string[]): Family<Cell> {
    const family = new Family<Cell>(() => ({ value: 0 }));
    this.counterOf(name, help, labelNames, (report) => {
      for (const { labels, cell } of family.entries()) report(labels, cell.value);
    });
    return family;
  }

  /** A counter whose values somebody else keeps; asked at each scrape. */
  counterOf(name: string, help: string, labelNames: readonly string[], collect: (report: Report) => void): void {
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        this.reset();
        collect((labels, value) => this.inc(labels, value));
      },
    });
  }

  /** A gauge that is computed at each scrape; series that are not reported are gone. */
  gauge(name: string, help: string, labelNames: readonly string[], collect: (report: Report) => void): void {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        this.reset();
        collect((labels, value) => this.set(labels, value));
      },
    });
  }

  /**
   * A histogram over plain arrays. prom-client's own hashes its labels at every observation, which a token cannot afford;
   * its registry only asks for `name`, `get` and `reset`.
   */
  histogram(name: string, help: string, bounds: readonly number[]): Family<HistogramCell> {
    const family = new Family(() => new HistogramCell(bounds));
    const metric = {
      name,
      get: () => ({
        name,
        help,
        type: 'histogram',
        aggregator: 'sum',
        values: [...family.entries()].flatMap(({ labels, cell }) => cell.samples(name, labels)),
      }),
      reset: () => {},
    };
    this.registry.registerMetric(metric as unknown as Metric);
    return family;
  }

  /** The exposition text of everything registered. */
  render(): Promise<string> {
    return this.registry.metrics();
  }
}
