import type { AccessEntry } from "../access-log.ts";

/** A finished request as OTLP/JSON writes a span (opentelemetry-proto, trace v1: ids are hex, times decimal text). */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 2 = server. */
  readonly kind: 2;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly OtlpAttribute[];
  /** 2 = error; 0 = unset, which is right for everything the client caused. */
  readonly status: { readonly code: 0 | 2 };
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue: string } | { readonly intValue: string };
}

/**
 * The span of one request, or undefined if its caller did not sample it. The router passes `traceparent` on as it came,
 * so its span stands beside the stamp's, below the same caller's.
 * @param spanId 16 hexadecimal digits, not all zero
 */
export function spanOf(entry: AccessEntry, spanId: string): OtlpSpan | undefined {
  const { traceparent } = entry;
  if (traceparent === undefined || !isSampled(traceparent)) return undefined;
  // Version and flags are around the ids: 00-<32>-<16>-01.
  const traceId = traceparent.slice(3, 35);
  const parentSpanId = traceparent.slice(36, 52);
  if (/^0+$/.test(traceId) || /^0+$/.test(parentSpanId)) return undefined;
  const endNano = BigInt(Date.parse(entry.time)) * 1_000_000n;
  const startNano = endNano - BigInt(Math.round(entry.ms * 1e6));
  const failed = entry.status >= 500;
  return {
    traceId,
    spanId,
    parentSpanId,
    name: entry.method,
    kind: 2,
    startTimeUnixNano: String(startNano),
    endTimeUnixNano: String(endNano),
    attributes: attributesOf(entry),
    status: { code: failed ? 2 : 0 },
  };
}

export function isSampled(traceparent: string): boolean {
  return (Number.parseInt(traceparent.slice(53, 55), 16) & 1) === 1;
}

function attributesOf(entry: AccessEntry): OtlpAttribute[] {
  const list: OtlpAttribute[] = [];
  const text = (key: string, value: string | undefined) => {
    if (value !== undefined) list.push({ key, value: { stringValue: value } });
  };
  const number = (key: string, value: number | undefined) => {
    if (value !== undefined) list.push({ key, value: { intValue: String(value) } });
  };
  text("http.request.method", entry.method);
  text("url.path", entry.path);
  number("http.response.status_code", entry.status);
  text("stampyard.tenant", entry.tenant);
  text("stampyard.stamp", entry.stamp);
  number("stampyard.epoch", entry.epoch);
  text("stampyard.reason", entry.reason);
  text("stampyard.request_id", entry.requestId);
  return list;
}

/** Body of one export. */
export function exportBody(
  spans: readonly OtlpSpan[],
  from: { readonly service: string; readonly instance: string },
): string {
  const attributes: OtlpAttribute[] = [
    { key: "service.name", value: { stringValue: from.service } },
    { key: "service.instance.id", value: { stringValue: from.instance } },
  ];
  return JSON.stringify({
    resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { name: "stampyard-router" }, spans }] }],
  });
}
