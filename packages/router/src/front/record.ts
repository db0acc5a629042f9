import { traceparentOf } from "../access-log.ts";
import type { Decision } from "../decide.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { problemAnswer, type RefusalReason } from "../refusals.ts";
import { lostByTrial } from "../metrics.ts";
import { newRequestId } from "../request-id.ts";
import { answerLines } from "./answer-lines.ts";
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
  /** Until the answer began, of one that lasts as long as somebody listens. */
  readonly beganMs?: number | undefined;
  /** The stamp broke its answer off. */
  readonly cut?: boolean;
}

let lastMs = Number.NaN;
let lastTime = "";

/** Counts and logs one request. No query, no headers: those hold secrets. */
export function record(serving: Serving, head: RequestHead, seen: Seen): void {
  const { decision, reason, status, ms, requestId, beganMs = ms, cut = false } = seen;
  const tenant = decision?.tenant;
  const stamp = decision?.stamp;
  serving.metrics.record({ stamp, tenant, status, reason, ms: beganMs, cut });
  const lost = decision?.lost;
  if (lost !== undefined) serving.metrics.record({ ...lost, status, reason: lostByTrial, ms, isLost: true });
  if (serving.accessLog === undefined) return;
  serving.accessLog.write({
    time: timeOf(serving.now()),
    requestId,
    method: head.method,
    path: head.path.length > 256 ? head.path.slice(0, 256) : head.path,
    tenant,
    stamp,
    epoch: decision?.epoch,
    rule: decision?.rule,
    status,
    reason,
    ms: Math.round(ms * 100) / 100,
    traceparent: head.fields.traceparent === "" ? undefined : traceparentOf(head.fields.traceparent),
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

/** Counts and logs a head that could not be read, and says what it is answered. */
export function refuseHead(
  serving: Serving,
  reason: RefusalReason,
  method: string,
): { readonly status: number; readonly lines: string; readonly body: string } {
  const requestId = newRequestId();
  const { status, headers, body } = problemAnswer(reason, { requestId, jitter: Math.random() });
  recordRefusedHead(serving, { reason, status, method, requestId });
  return { status, lines: answerLines(headers), body };
}

/** ISO 8601; made once per millisecond. */
function timeOf(now: number): string {
  if (now !== lastMs) {
    lastMs = now;
    lastTime = new Date(now).toISOString();
  }
  return lastTime;
}
