import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Decider } from "./decide-endpoint/decider.ts";
import { explain } from "./explain.ts";
import type { Follower, FollowerStatus } from "./follower.ts";
import { parseHost } from "./host.ts";
import { addCounts, type Counts, type Metrics, noCounts, statsOf } from "./metrics.ts";
import { type Gauge, metricsText } from "./metrics-text.ts";
import type { StampKeys } from "./route-signer.ts";
import type { Servers } from "./servers.ts";
import { routingHeaders } from "./routing-headers.ts";
import { unmapped } from "./trusted-peers.ts";
import { mergeUnresolved } from "./unresolved.ts";

export interface AdminOptions {
  readonly name: string;
  readonly follower: Follower;
  readonly keys: ReadonlyMap<string, StampKeys>;
  readonly servers: Servers;
  readonly decider: Decider;
  /** Of the follower. */
  readonly metrics: Metrics;
  /** A balancer sends nobody here any more. */
  readonly draining: () => boolean;
  readonly startedAt: number;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * What operators ask a router, on a port of its own that listens on loopback. It has no token: who can reach loopback
 * may read it. A browser may not: pages of other origins and names that only resolve to loopback are refused.
 * @param current undefined while the router starts
 */
export function createAdminServer(current: () => AdminOptions | undefined): Server {
  const server = createServer({ requireHostHeader: true, headersTimeout: 5_000, requestTimeout: 10_000 });
  server.maxConnections = 256;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    const options = current();
    const answering =
      options === undefined
        ? Promise.resolve(problem(503, "NOT_READY", "The router starts"))
        : answer(options, request).catch(() => problem(500, "INTERNAL", "Unexpected failure"));
    response.on("error", () => {});
    void answering.then(({ status, type, body }) => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
      response.end(body);
    });
  });
  return server;
}

async function answer(options: AdminOptions, request: IncomingMessage): Promise<Answer> {
  const host = parseHost(request.headers.host ?? "")?.name ?? "";
  const literal = isIP(host.replace(/^\[|\]$/g, "")) !== 0;
  if (request.headers.origin !== undefined || !(literal || host === "localhost")) {
    return problem(403, "FORBIDDEN", "The admin listener answers no browser");
  }
  // Only the path and query are read, so the base's name does not matter.
  const url = URL.parse(request.url ?? "/", "http://admin");
  if (url === null) return problem(400, "INVALID_REQUEST", "Target cannot be read");
  switch (`${request.method} ${url.pathname}`) {
    case "GET /livez":
      return json(200, { live: true });
    case "GET /readyz":
      return readiness(options, url.searchParams.has("verbose"));
    case "GET /metrics":
      return await metrics(options, url.searchParams.has("tenants"));
    case "GET /stats":
      return json(200, await stats(options));
    case "GET /directory":
      return json(200, directory(options));
    case "POST /directory/accept":
      return accept(options, url.searchParams.get("version"));
    case "GET /explain":
      return await explained(options, url.searchParams);
    case "GET /unresolved":
      return await unresolved(options);
    case "GET /holds":
      return await holds(options);
    default:
      return problem(404, "NOT_FOUND", "Nothing is here");
  }
}

/** Ready = there is a table to route by, and somebody who serves. A silent control plane does not matter (I3). */
function readiness({ follower, servers, draining }: AdminOptions, verbose: boolean): Answer {
  const loaded = follower.directory() !== undefined;
  const workers = servers.workers();
  const serving = workers.filter(({ state }) => state === "serving").length;
  const served = workers.length === 0 || serving > 0;
  const ready = loaded && served && !draining();
  if (!verbose) return json(ready ? 200 : 503, { ready });
  const status = follower.status();
  const checks = [
    {
      check: "directory",
      ok: loaded,
      detail: loaded ? `version ${status.position.version}` : "no copy on disk, none received",
    },
    { check: "feed", ok: status.phase === "following" || status.phase === "off", detail: feedDetail(status) },
    { check: "disk", ok: status.diskTrouble === undefined, detail: status.diskTrouble ?? "written" },
    {
      check: "workers",
      ok: served && serving === workers.length,
      detail: workers.length === 0 ? "the process serves by itself" : `${serving} of ${workers.length} serve`,
    },
    ...(draining() ? [{ check: "drain", ok: false, detail: "the router stops" }] : []),
  ];
  return json(ready ? 200 : 503, { ready, checks, workers });
}

function feedDetail({ phase, lastEnd, refused, diverged }: FollowerStatus): string {
  const parts: string[] = [phase];
  if (refused !== undefined) {
    parts.push(`snapshot ${refused.version} of ${refused.entries} entries is refused: ${refused.reason}`);
  }
  if (diverged) parts.push("its history is not ours");
  if (phase !== "following" && lastEnd !== undefined) parts.push(lastEnd);
  return parts.join("; ");
}

function directory({ follower }: AdminOptions) {
  const table = follower.directory();
  return { ...follower.status(), counts: table?.counts() ?? { tenants: 0, stamps: 0, hostnames: 0 } };
}

/** What the follower counted, and all who serve. */
async function allCounts({ servers, metrics }: AdminOptions): Promise<Counts> {
  const total = noCounts();
  addCounts(total, metrics.counts());
  addCounts(total, await servers.counts());
  return total;
}

async function metrics(options: AdminOptions, tenants: boolean): Promise<Answer> {
  const rows = [...gauges(options), ...(await certificateGauges(options))];
  const body = metricsText(await allCounts(options), rows, { tenants });
  return { status: 200, type: "text/plain; version=0.0.4", body };
}

async function stats(options: AdminOptions) {
  const { name, follower, servers, startedAt } = options;
  const counts = await allCounts(options);
  const { position, phase, silentMs } = follower.status();
  return {
    name,
    uptimeMs: Math.round(performance.now() - startedAt),
    inFlight: servers.inFlight(),
    connections: servers.connections(),
    brokenStamps: [...servers.tripped().keys()],
    directory: {
      version: position.version,
      incarnation: position.incarnation,
      feed: phase,
      ...(silentMs === undefined ? {} : { silentMs: Math.round(silentMs) }),
    },
    workers: servers.workers(),
    ...statsOf(counts),
  };
}

function accept({ follower }: AdminOptions, text: string | null): Answer {
  if (text === null || !/^[0-9]{1,15}$/.test(text))
    return problem(400, "INVALID_REQUEST", "Say which version to accept");
  if (follower.accept(Number(text))) return json(200, { accepted: Number(text) });
  return problem(409, "WRONG_PHASE", "No snapshot of this version was refused for its size");
}

/** Answered by the decider's copy, which is told the same things in the same order as those who serve. */
async function explained({ follower, keys, decider, servers }: AdminOptions, query: URLSearchParams): Promise<Answer> {
  const peer = unmapped(query.get("peer") ?? "127.0.0.1");
  const table = follower.directory();
  const known = {
    directory: table,
    version: follower.status().position.version,
    hasKey: (stamp: string) => keys.has(stamp),
    state: decider.state,
  };
  const peerTrusted = table !== undefined && routingHeaders(table.routing()).trusted(peer);
  const question = { url: query.get("url") ?? "", headers: query.getAll("header"), peerTrusted, peer };
  const explanation = explain(known, question);
  const { tenant } = explanation;
  return json(200, { ...explanation, ...(tenant === undefined ? {} : { inFlight: await servers.inFlightOf(tenant) }) });
}

/** What no tenant claimed, of all who serve and of those that ingresses asked about. */
async function unresolved({ servers, decider, follower }: AdminOptions): Promise<Answer> {
  const asked = decider.state.unresolved.rows();
  const rows = mergeUnresolved([...(await servers.unresolved()), ...asked]);
  return json(200, { catchAll: follower.directory()?.routing().catchAll, rows });
}

async function holds({ servers, decider }: AdminOptions): Promise<Answer> {
  const states = decider.state.holds.states();
  const rows = states.map(async (state) => ({ ...state, inFlight: await servers.inFlightOf(state.tenant) }));
  return json(200, { holds: await Promise.all(rows) });
}

function gauges({ follower, servers }: AdminOptions): Gauge[] {
  const { position, durable, head, phase, silentMs, refused, diverged, diskTrouble } = follower.status();
  const counts = follower.directory()?.counts();
  const one = (name: string, help: string, value: number): Gauge => ({ name, help, value });
  return [
    one("directory_incarnation", "Incarnation of the directory that is served.", position.incarnation),
    one("directory_version", "Version of the directory that is served.", position.version),
    one("directory_durable_version", "Version up to which the directory is on disk.", durable.version),
    one("directory_tenants", "Tenants in the directory.", counts?.tenants ?? 0),
    one("directory_stamps", "Stamps in the directory.", counts?.stamps ?? 0),
    one("feed_head_version", "Newest version that the control plane told of.", head?.version ?? position.version),
    one("feed_following", "1 while the feed is followed.", phase === "following" ? 1 : 0),
    one("feed_diverged", "1 while the control plane's history is not ours.", diverged ? 1 : 0),
    one("feed_snapshot_refused", "1 while a snapshot is refused.", refused === undefined ? 0 : 1),
    ...(silentMs === undefined
      ? []
      : [one("feed_silence_seconds", "Time since the control plane was heard.", silentMs / 1000)]),
    one("disk_failing", "1 while the directory cannot be written to disk.", diskTrouble === undefined ? 0 : 1),
    one("in_flight", "Requests and tunnels on their way.", servers.inFlight()),
    one("connections", "Connections of clients.", servers.connections()),
    ...[...servers.tripped()].map(([stamp, count]) => ({
      ...one("stamp_breaker_open", "Processes that send a stamp probes only, or nothing.", count),
      labels: { stamp },
    })),
    ...lossGauges(servers),
    ...workerGauges(servers),
  ];
}

async function certificateGauges({ servers }: AdminOptions): Promise<Gauge[]> {
  return (await servers.certificates()).map(({ pattern, validUntil }) => ({
    name: "certificate_valid_until_seconds",
    help: "Time at which a certificate ends, seconds since 1970; the hundred that end first.",
    value: validUntil / 1_000,
    labels: { pattern },
  }));
}

function lossGauges(servers: Servers): Gauge[] {
  const { droppedLogLines, sentSpans, droppedSpans } = servers.losses();
  const counter = (name: string, help: string, value: number): Gauge => ({ name, help, value, counter: true });
  return [
    counter("access_log_dropped_lines", "Access log lines that were not written.", droppedLogLines),
    counter("spans_sent_total", "Spans that the collector took.", sentSpans),
    counter("spans_dropped_total", "Spans that were lost.", droppedSpans),
  ];
}

function workerGauges(servers: Servers): Gauge[] {
  return servers.workers().flatMap((worker) => {
    const labels = { worker: String(worker.place) };
    const one = (name: string, help: string, value: number): Gauge => ({ name, help, value, labels });
    return [
      one("worker_serving", "1 while the worker listens.", worker.state === "serving" ? 1 : 0),
      { ...one("worker_restarts_total", "Times that the worker was started anew.", worker.restarts), counter: true },
      one("worker_in_flight", "Requests and tunnels of the worker.", worker.inFlight),
      one("worker_resident_bytes", "Memory of the worker.", worker.rssBytes),
      one("worker_late_seconds", "Longest delay of the worker's event loop within one beat.", worker.lateMs / 1000),
      one("worker_changes_behind", "Directory changes that the worker has not confirmed.", worker.changesBehind),
    ];
  });
}

function json(status: number, value: unknown): Answer {
  return { status, type: "application/json", body: `${JSON.stringify(value)}\n` };
}

function problem(status: number, code: string, title: string): Answer {
  return {
    status,
    type: "application/problem+json",
    body: JSON.stringify({ type: "about:blank", title, status, code }),
  };
}
