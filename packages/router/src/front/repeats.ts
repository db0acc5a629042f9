import type { Outcome } from "../bulkhead/breaker.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { RefusalReason } from "../refusals.ts";

const safe = new Set(["GET", "HEAD", "OPTIONS"]);

/** Whether a request may be sent again after a kept connection turned out to be closed: it asks and changes nothing. */
export function isRepeatable({ method, body, webSocketKey }: RequestHead): boolean {
  return safe.has(method) && body === "none" && webSocketKey === "";
}

/** Refusals that say that the stamp is out. */
const stampFaults: ReadonlySet<RefusalReason> = new Set([
  "stamp-unreachable",
  "stamp-closed",
  "stamp-timeout",
  "bad-response",
]);

/** What an answer of ours says about the stamp, for its breaker. */
export function outcomeOf(reason: RefusalReason): Outcome {
  if (stampFaults.has(reason)) return "failure";
  // A guard that refuses is alive.
  return reason === "route-refused" ? "success" : "abandoned";
}
