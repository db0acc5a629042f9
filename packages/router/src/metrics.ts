/** Upper bounds in milliseconds; the last bucket is everything above. */
const bucketBounds = [
  0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, 15_000,
];

interface StampCounters {
  requests: number;
  errors: number;
  readonly statuses: [number, number, number, number, number];
  readonly buckets: number[];
  sumMs: number;
}

export interface RequestOutcome {
  /** undefined when no stamp was chosen. */
  readonly stamp: string | undefined;
  /** 0 = the client left before it had an answer. */
  readonly status: number;
  /** Why the router answered by itself. */
  readonly reason: string | undefined;
  readonly ms: number;
}

export interface StampStats {
  readonly requests: number;
  /** Answers of 500 and above, the router's own included. */
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly statuses: {
    readonly "1xx": number;
    readonly "2xx": number;
    readonly "3xx": number;
    readonly "4xx": number;
    readonly "5xx": number;
  };
}

export interface Metrics {
  record(outcome: RequestOutcome): void;
  /** Things that are counted by name, e.g. refused snapshots. Names are ours and few. */
  count(name: string, label: string): void;
  stats(): {
    readonly stamps: Readonly<Record<string, StampStats>>;
    readonly refusals: Readonly<Record<string, number>>;
  };
  /** Prometheus text format; gauges are read at that moment. */
  text(gauges: readonly Gauge[]): string;
}

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Counts in memory; bounded by the number of stamps and of reasons. */
export function createMetrics(): Metrics {
  const stamps = new Map<string, StampCounters>();
  const refusals = new Map<string, number>();
  const counters = new Map<string, Map<string, number>>();

  return {
    record({ stamp, status, reason, ms }) {
      if (reason !== undefined) refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
      if (stamp === undefined) return;
      let counted = stamps.get(stamp);
      if (counted === undefined) {
        counted = {
          requests: 0,
          errors: 0,
          statuses: [0, 0, 0, 0, 0],
          buckets: bucketBounds.map(() => 0).concat(0),
          sumMs: 0,
        };
        stamps.set(stamp, counted);
      }
      counted.requests += 1;
      if (status >= 500) counted.errors += 1;
      const group = Math.floor(status / 100) - 1;
      if (group >= 0 && group < 5) counted.statuses[group as 0 | 1 | 2 | 3 | 4] += 1;
      const bucket = bucketBounds.findIndex((bound) => ms <= bound);
      const index = bucket < 0 ? bucketBounds.length : bucket;
      counted.buckets[index] = (counted.buckets[index] ?? 0) + 1;
      counted.sumMs += ms;
    },
    count(name, label) {
      const labels = counters.get(name) ?? new Map<string, number>();
      counters.set(name, labels);
      labels.set(label, (labels.get(label) ?? 0) + 1);
    },
    stats: () => ({
      stamps: Object.fromEntries([...stamps].map(([stamp, counted]) => [stamp, statsOf(counted)])),
      refusals: Object.fromEntries(refusals),
    }),
    text(gauges) {
      return [
        ...stampLines(stamps),
        ...refusalLines(refusals),
        ...counterLines(counters),
        ...gaugeLines(gauges),
        "",
      ].join("\n");
    },
  };
}

function statsOf(counted: StampCounters): StampStats {
  const [a, b, c, d, e] = counted.statuses;
  return {
    requests: counted.requests,
    errors: counted.errors,
    p50Ms: quantile(counted, 0.5),
    p99Ms: quantile(counted, 0.99),
    statuses: { "1xx": a, "2xx": b, "3xx": c, "4xx": d, "5xx": e },
  };
}

/** Straight line within the bucket: right to the bucket's width, which is all that a histogram knows. */
function quantile({ buckets, requests }: StampCounters, share: number): number {
  if (requests === 0) return 0;
  const rank = share * requests;
  let below = 0;
  for (let index = 0; index < buckets.length; index++) {
    const inside = buckets[index] ?? 0;
    if (below + inside >= rank && inside > 0) {
      const from = bucketBounds[index - 1] ?? 0;
      const to = bucketBounds[index] ?? from;
      return Math.round((from + ((to - from) * (rank - below)) / inside) * 100) / 100;
    }
    below += inside;
  }
  return bucketBounds.at(-1) ?? 0;
}

function* stampLines(stamps: ReadonlyMap<string, StampCounters>): Iterable<string> {
  yield "# HELP stampyard_router_requests_total Requests by home stamp and class of answer.";
  yield "# TYPE stampyard_router_requests_total counter";
  for (const [stamp, { statuses }] of stamps) {
    for (const [index, count] of statuses.entries()) {
      if (count > 0) yield `stampyard_router_requests_total{stamp="${stamp}",class="${index + 1}xx"} ${count}`;
    }
  }
  yield "# HELP stampyard_router_errors_total Answers of 500 and above by home stamp.";
  yield "# TYPE stampyard_router_errors_total counter";
  for (const [stamp, { errors }] of stamps) yield `stampyard_router_errors_total{stamp="${stamp}"} ${errors}`;
  yield "# HELP stampyard_router_request_seconds Time from request to the end of its answer.";
  yield "# TYPE stampyard_router_request_seconds histogram";
  for (const [stamp, { buckets, sumMs, requests }] of stamps) {
    let total = 0;
    for (const [index, bound] of bucketBounds.entries()) {
      total += buckets[index] ?? 0;
      yield `stampyard_router_request_seconds_bucket{stamp="${stamp}",le="${bound / 1000}"} ${total}`;
    }
    yield `stampyard_router_request_seconds_bucket{stamp="${stamp}",le="+Inf"} ${requests}`;
    yield `stampyard_router_request_seconds_sum{stamp="${stamp}"} ${sumMs / 1000}`;
    yield `stampyard_router_request_seconds_count{stamp="${stamp}"} ${requests}`;
  }
}

function* refusalLines(refusals: ReadonlyMap<string, number>): Iterable<string> {
  yield "# HELP stampyard_router_refusals_total Answers that the router gave by itself, by reason.";
  yield "# TYPE stampyard_router_refusals_total counter";
  for (const [reason, count] of refusals) yield `stampyard_router_refusals_total{reason="${reason}"} ${count}`;
}

function* counterLines(counters: ReadonlyMap<string, ReadonlyMap<string, number>>): Iterable<string> {
  for (const [name, labels] of counters) {
    yield `# TYPE stampyard_router_${name}_total counter`;
    for (const [label, count] of labels) yield `stampyard_router_${name}_total{kind="${label}"} ${count}`;
  }
}

function* gaugeLines(gauges: readonly Gauge[]): Iterable<string> {
  const described = new Set<string>();
  for (const { name, help, value, labels } of gauges) {
    if (!described.has(name)) {
      described.add(name);
      yield `# HELP stampyard_router_${name} ${help}`;
      yield `# TYPE stampyard_router_${name} gauge`;
    }
    const text = Object.entries(labels ?? {}).map(([key, label]) => `${key}="${label}"`);
    yield `stampyard_router_${name}${text.length === 0 ? "" : `{${text.join(",")}}`} ${value}`;
  }
}
