import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Guard, guardHttp, type HookPassage } from "@stampyard/guard";
import { inTransaction, sqlStateOf } from "../database.ts";
import { type Log, reasonOf } from "../log.ts";
import { countOverdueJobs } from "../outbox.ts";
import { eraseWorkspace, seedWorkspace } from "../workspace.ts";
import type { Call, Reply, Route, Services } from "./call.ts";
import { readBytes, readJson } from "./input.ts";
import { drained, exported, exportPath, imported, rebuilt, serveExport } from "./move-hooks.ts";
import { Problem, problemBody, problemOf } from "./problem.ts";
import { routes } from "./routes.ts";

/**
 * The API server, not listening yet. Every request passes the guard first, except `/healthz`; only what the guard says
 * about the tenant is believed.
 */
export function createApi(services: Services, guard: Guard, log: Log): Server {
  const { identity } = services;
  const answer = async (response: ServerResponse, work: () => Promise<Reply>) => {
    try {
      send(response, await work());
    } catch (caught) {
      if (response.destroyed) return;
      const problem = problemOf(caught, sqlStateOf(caught));
      // What a handler decided to refuse is no news; what happened to it is.
      if (caught !== problem) log("request-failed", { code: problem.code, reason: reasonOf(caught) });
      sendProblem(response, problem);
    }
  };

  const guarded = guardHttp(
    guard,
    (request, response, { tenant, epoch }) =>
      answer(response, async () => {
        if (tenant === undefined) throw new Problem(404, "no-workspace", "This address belongs to no workspace");
        return await dispatch(services, request, { tenant, epoch });
      }),
    {
      open: {
        "/healthz": (request, response) => answer(response, () => health(services, request)),
        "/healthz/jobs": (request, response) => answer(response, () => jobsHealth(services, request)),
        [exportPath]: (request, response) => answer(response, () => serveExport(services, request, Date.now())),
      },
      hook: (request, response, passage) => answer(response, () => serveHook(services, request, passage)),
    },
  );

  const server = createServer((request, response) => {
    response.setHeader("x-notes-stamp", identity.stamp);
    response.setHeader("x-notes-release", identity.release);
    response.setHeader("cache-control", "no-store");
    response.setHeader("x-content-type-options", "nosniff");
    guarded(request, response);
  });
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  // Longer than any client keeps an idle connection to us, so that we never close one it is about to use.
  server.keepAliveTimeout = 65_000;
  return server;
}

async function dispatch(services: Services, request: IncomingMessage, who: { tenant: string; epoch: number }) {
  const url = new URL(`http://notes${request.url?.startsWith("/") ? request.url : "/"}`);
  // A HEAD is a GET whose body node:http does not send.
  const method = request.method === "HEAD" ? "GET" : request.method;
  const { route, params, allowed } = findRoute(routes, method ?? "", url.pathname);
  if (route === undefined) {
    if (allowed.length === 0) throw new Problem(404, "no-page", "There is nothing at this path");
    throw new Problem(405, "wrong-method", `This path allows ${allowed.join(", ")}`, { allow: allowed.join(", ") });
  }
  const call: Call = {
    ...who,
    params,
    query: url.searchParams,
    headers: request.headers,
    json: () => readJson(request),
    bytes: (most) => readBytes(request, most),
  };
  return await route.handle(services, call);
}

/** The route for a path, and which methods the path knows at all. */
export function findRoute(table: readonly Route[], method: string, path: string) {
  const segments = path.split("/");
  const allowed: string[] = [];
  for (const route of table) {
    const pattern = route.path.split("/");
    if (pattern.length !== segments.length) continue;
    const params: Record<string, string> = {};
    const fits = pattern.every((part, index) => {
      const segment = segments[index] ?? "";
      if (!part.startsWith(":")) return part === segment;
      params[part.slice(1)] = segment;
      return segment !== "";
    });
    if (!fits) continue;
    if (route.method === method) return { route, params, allowed };
    allowed.push(route.method);
  }
  return { route: undefined, params: {}, allowed };
}

const hookPaths: Readonly<Partial<Record<HookPassage["hook"], string>>> = {
  "tenant.onCreate": "/hooks/tenant-created",
  "tenant.onDelete": "/hooks/tenant-deleted",
  "tenant.onDrain": "/hooks/tenant-drain",
  "tenant.onExport": "/hooks/tenant-export",
  "tenant.onImport": "/hooks/tenant-import",
  "tenant.onRebuild": "/hooks/tenant-rebuild",
};

/** Every hook may be called again at any time, after any crash, and ends the same. */
async function serveHook(services: Services, request: IncomingMessage, passage: HookPassage): Promise<Reply> {
  const { hook, tenant, epoch } = passage;
  if (request.method !== "POST" || request.url !== hookPaths[hook]) {
    throw new Problem(404, "no-hook", `The hook ${hook} is POST ${hookPaths[hook] ?? "nowhere"}`);
  }
  if (hook === "tenant.onDrain") return await drained(services, passage);
  if (hook === "tenant.onExport") return await exported(request, passage, Date.now());
  if (hook === "tenant.onImport") return await imported(services, passage, await readJson(request));
  if (hook === "tenant.onRebuild") return await rebuilt(services, passage);
  const work = hook === "tenant.onCreate" ? seedWorkspace : eraseWorkspace;
  await inTransaction(services.pool, (db) => work(db, tenant));
  if (hook === "tenant.onDelete") {
    await services.objects.erase(tenant);
    // An index is of use to nobody any more: if it is away now, the worker's sweep gets it.
    await services.search.erase(tenant).catch(() => {});
  }
  await services.cache.drop({ tenant, epoch });
  return { status: 204 };
}

/** Milliseconds the database has to answer a health check. */
const healthTimeoutMs = 1_000;

/** Healthy = the database answers. Redis and NATS may be away: the application then is slower, not wrong. */
async function health({ pool, identity }: Services, request: IncomingMessage): Promise<Reply> {
  requireGet(request);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const problem = new Problem(503, "unhealthy", "The database does not answer");
    timer = setTimeout(() => reject(problem), healthTimeoutMs);
  });
  try {
    await Promise.race([pool.query("select 1"), late]);
  } finally {
    clearTimeout(timer);
  }
  return { status: 200, json: { status: "ok", ...identity } };
}

/**
 * Whether the worker keeps up. Apart from the health of the API, which is well and must not be ended for it; the gate of a
 * rollout asks, because a release that breaks only the worker fails no request.
 */
async function jobsHealth({ pool }: Services, request: IncomingMessage): Promise<Reply> {
  requireGet(request);
  const overdue = await countOverdueJobs(pool);
  if (overdue > 0) throw new Problem(503, "jobs-overdue", `${overdue} jobs wait for a worker`);
  return { status: 200, json: { status: "ok" } };
}

function requireGet({ method }: IncomingMessage): void {
  if (method !== "GET" && method !== "HEAD") {
    throw new Problem(405, "wrong-method", "This path allows GET", { allow: "GET" });
  }
}

const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function send(response: ServerResponse, { status, json, html, bytes, headers = {} }: Reply): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = status;
  if (html !== undefined) {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.setHeader("content-security-policy", pagePolicy);
    response.end(html);
  } else if (bytes !== undefined) {
    response.end(bytes);
  } else if (json !== undefined) {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(json));
  } else response.end();
}

function sendProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent) return void response.destroy();
  for (const [name, value] of Object.entries(problem.headers)) response.setHeader(name, value);
  response.writeHead(problem.status, { "content-type": "application/problem+json" });
  response.end(problemBody(problem));
}
