import { bucketBounds, type Counts } from "./metrics.ts";

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Only rises. @default false */
  readonly counter?: boolean;
}

/** Prometheus text format, version 0.0.4. Tenants are listed only on request: there may be many. */
export function metricsText(counts: Counts, gauges: readonly Gauge[], options: { readonly tenants: boolean }): string {
  return [
    ...stampLines(counts.stamps),
    ...refusalLines(counts.refusals),
    ...namedLines(counts.named),
    ...(options.tenants ? tenantLines(counts.tenants) : []),
    ...gaugeLines(gauges),
    "",
  ].join("\n");
}

function* stampLines(stamps: Counts["stamps"]): Iterable<string> {
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

function* refusalLines(refusals: Counts["refusals"]): Iterable<string> {
  yield "# HELP stampyard_router_refusals_total Answers that the router gave by itself, by reason.";
  yield "# TYPE stampyard_router_refusals_total counter";
  for (const [reason, count] of refusals) yield `stampyard_router_refusals_total{reason="${reason}"} ${count}`;
}

function* namedLines(named: Counts["named"]): Iterable<string> {
  for (const [name, kinds] of named) {
    yield `# TYPE stampyard_router_${name}_total counter`;
    for (const [kind, count] of kinds) yield `stampyard_router_${name}_total{kind="${kind}"} ${count}`;
  }
}

function* tenantLines(tenants: Counts["tenants"]): Iterable<string> {
  yield "# HELP stampyard_router_tenant_requests_total Requests by tenant.";
  yield "# TYPE stampyard_router_tenant_requests_total counter";
  for (const [tenant, { requests }] of tenants) {
    yield `stampyard_router_tenant_requests_total{tenant="${tenant}"} ${requests}`;
  }
  yield "# HELP stampyard_router_tenant_errors_total Answers of 500 and above by tenant.";
  yield "# TYPE stampyard_router_tenant_errors_total counter";
  for (const [tenant, { errors }] of tenants) {
    yield `stampyard_router_tenant_errors_total{tenant="${tenant}"} ${errors}`;
  }
}

function* gaugeLines(gauges: readonly Gauge[]): Iterable<string> {
  const described = new Set<string>();
  for (const { name, help, value, labels, counter = false } of gauges) {
    if (!described.has(name)) {
      described.add(name);
      yield `# HELP stampyard_router_${name} ${help}`;
      yield `# TYPE stampyard_router_${name} ${counter ? "counter" : "gauge"}`;
    }
    const text = Object.entries(labels ?? {}).map(([key, label]) => `${key}="${label}"`);
    yield `stampyard_router_${name}${text.length === 0 ? "" : `{${text.join(",")}}`} ${value}`;
  }
}
