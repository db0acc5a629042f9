import { traceparentOf } from "../access-log.ts";
import type { Decision } from "../decide.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { Serving } from "./serving.ts";

/** What became known of a request on its way. */
export interface Seen {
  readonly requestId: string;
  readonly decision: Decision | undefined;
  /** Why the router answered by itself. */
  readonly reason: string | undefined;
  /** 0 = the client left before it had an answer. */
  readonly status: number;
  readonly ms: number;
}

let lastMs = Number.NaN;
let lastTime = "";

/** Counts and logs one request. No query, no headers: those hold secrets. */
export function record(serving: Serving, head: RequestHead, seen: Seen): void {
  const { decision, reason, status, ms, requestId } = seen;
  const tenant = decision?.tenant;
  const stamp = decision?.stamp;
  serving.metrics.record({ stamp, tenant, status, reason, ms });
  if (serving.accessLog === undefined) return;
  const epoch = decision?.epoch;
  const rule = decision?.rule;
  const traceparent = head.fields.traceparent === "" ? undefined : traceparentOf(head.fields.traceparent);
  serving.accessLog.write({
    time: timeOf(serving.now()),
    requestId,
    method: head.method,
    path: head.path.length > 256 ? head.path.slice(0, 256) : head.path,
    ...(tenant === undefined ? undefined : { tenant }),
    ...(stamp === undefined ? undefined : { stamp }),
    ...(epoch === undefined ? undefined : { epoch }),
    ...(rule === undefined ? undefined : { rule }),
    status,
    ...(reason === undefined ? undefined : { reason }),
    ms: Math.round(ms * 100) / 100,
    ...(traceparent === undefined ? undefined : { traceparent }),
  });
}

/** A head that could not be read has no path that could be trusted to mean anything. */
export function recordRefusedHead(
  serving: Serving,
  refused: { readonly reason: string; readonly status: number; readonly method: string; readonly requestId: string },
): void {
  const { reason, status, method, requestId } = refused;
  serving.metrics.record({ stamp: undefined, status, reason, ms: 0 });
  serving.accessLog?.write({ time: timeOf(serving.now()), requestId, method, path: "", status, reason, ms: 0 });
}

/** ISO 8601; made once per millisecond. */
function timeOf(now: number): string {
  if (now !== lastMs) {
    lastMs = now;
    lastTime = new Date(now).toISOString();
  }
  return lastTime;
}
