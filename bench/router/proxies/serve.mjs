/**
 * What the Node peers have in common, so that they do what the other proxies do: the tenants, forwarded headers and a request
 * id, a buffered access log, counters by upstream, and where they listen.
 */
import { randomUUID } from "node:crypto";
import { readFileSync, writeSync, openSync } from "node:fs";

const { map, log, port } = JSON.parse(process.argv[2]);
/** Host to upstream, as the other proxies have it. */
export const homes = new Map(
  readFileSync(map, "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" ")),
);
export const listenPort = port;

export const newRequestId = () => randomUUID();
/** What nginx and HAProxy are told to add to a request. */
export const forwarded = (headers, client, requestId) => ({
  "x-forwarded-for": client,
  "x-forwarded-proto": "http",
  "x-forwarded-host": headers.host,
  "x-request-id": requestId,
  via: "1.1 bench",
});

/** Requests, errors and milliseconds by upstream. */
const counted = new Map();
function count(home, status, ms) {
  let counters = counted.get(home);
  if (counters === undefined) {
    counters = { requests: 0, errors: 0, ms: 0 };
    counted.set(home, counters);
  }
  counters.requests += 1;
  counters.ms += ms;
  if (status >= 500) counters.errors += 1;
}

const file = openSync(log, "a");
let lines = "";
export function logRequest({ method, url }, requestId, home, status, startedAt) {
  const ms = performance.now() - startedAt;
  count(home, status, ms);
  lines += `{"time":"${new Date().toISOString()}","requestId":"${requestId}","method":"${method}","path":"${url}","stamp":"${home}","status":${status},"ms":${ms.toFixed(2)}}\n`;
  if (lines.length < 65_536) return;
  writeSync(file, lines);
  lines = "";
}
export const hostOf = (headers) => (headers.host ?? "").split(":")[0].toLowerCase();
