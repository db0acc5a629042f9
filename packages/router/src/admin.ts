import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { DataPlane } from "./data-plane.ts";
import { explain } from "./explain.ts";
import type { Follower, FollowerStatus } from "./follower.ts";
import { parseHost } from "./host.ts";
import type { Gauge, Metrics } from "./metrics.ts";

export interface AdminOptions {
  readonly name: string;
  readonly follower: Follower;
  readonly plane: DataPlane;
  readonly metrics: Metrics;
  readonly droppedLogLines: () => number;
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
    const { status, type, body } =
      options === undefined ? problem(503, "NOT_READY", "The router starts") : answer(options, request);
    response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
    response.end(body);
  });
  return server;
}

function answer(options: AdminOptions, request: IncomingMessage): Answer {
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
      return { status: 200, type: "text/plain; version=0.0.4", body: options.metrics.text(gauges(options)) };
    case "GET /stats":
      return json(200, stats(options));
    case "GET /directory":
      return json(200, directory(options));
    case "POST /directory/accept":
      return accept(options, url.searchParams.get("version"));
    case "GET /explain":
      return explained(options, url.searchParams);
    default:
      return problem(404, "NOT_FOUND", "Nothing is here");
  }
}

/** Ready = there is a table to route by. A silent control plane does not matter (I3). */
function readiness({ follower }: AdminOptions, verbose: boolean): Answer {
  const ready = follower.directory() !== undefined;
  if (!verbose) return json(ready ? 200 : 503, { ready });
  const status = follower.status();
  const checks = [
    {
      check: "directory",
      ok: ready,
      detail: ready ? `version ${status.position.version}` : "no copy on disk, none received",
    },
    { check: "feed", ok: status.phase === "following" || status.phase === "off", detail: feedDetail(status) },
    { check: "disk", ok: status.diskTrouble === undefined, detail: status.diskTrouble ?? "written" },
  ];
  return json(ready ? 200 : 503, { ready, checks });
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

function stats({ name, follower, plane, metrics, startedAt }: AdminOptions) {
  const { position, phase } = follower.status();
  return {
    name,
    uptimeMs: Math.round(performance.now() - startedAt),
    inFlight: plane.inFlight(),
    directory: { version: position.version, incarnation: position.incarnation, feed: phase },
    ...metrics.stats(),
  };
}

function accept({ follower }: AdminOptions, text: string | null): Answer {
  if (text === null || !/^[0-9]{1,15}$/.test(text))
    return problem(400, "INVALID_REQUEST", "Say which version to accept");
  if (follower.accept(Number(text))) return json(200, { accepted: Number(text) });
  return problem(409, "WRONG_PHASE", "No snapshot of this version was refused for its size");
}

function explained({ follower, plane }: AdminOptions, query: URLSearchParams): Answer {
  const peer = query.get("peer");
  const known = {
    directory: follower.directory(),
    version: follower.status().position.version,
    hasKey: (stamp: string) => plane.hasKey(stamp),
  };
  const peerTrusted = plane.isTrusted(peer ?? "127.0.0.1");
  return json(200, explain(known, { url: query.get("url") ?? "", headers: query.getAll("header"), peerTrusted }));
}

function gauges({ follower, plane, droppedLogLines }: AdminOptions): Gauge[] {
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
    one("in_flight", "Requests and tunnels on their way.", plane.inFlight()),
    one("access_log_dropped_lines", "Access log lines that were not written.", droppedLogLines()),
  ];
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
