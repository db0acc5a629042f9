import { type Endpoint, type EndpointName, endpointNames, endpoints, mayCall, problemOf } from "@stampyard/api";
import { StampyardError } from "@stampyard/domain";
import { type Context, Hono } from "hono";
import type { IdempotencyStore } from "../store/port.ts";
import type { AccessLog } from "./access-log.ts";
import { type Answer, answerOf } from "./answer.ts";
import type { Actor, AnyHandler, Handlers } from "./call.ts";
import { withIdempotency } from "./idempotency.ts";
import { isRequestId, readBearer, readBody, readIdempotencyKey, readIfMatch, readQuery, validate } from "./request.ts";

/** What the HTTP shell needs; everything else is behind the handlers. */
export interface ShellDeps {
  readonly handlers: Handlers;
  /** Who a token speaks for; undefined for a token that is unknown or revoked. */
  readonly authenticate: (token: string) => Promise<Actor | undefined>;
  readonly idempotency: IdempotencyStore;
  readonly newRequestId: () => string;
  readonly log: AccessLog;
}

/** What `@hono/node-server` gives beside the request; absent when the app is called without a socket. */
export interface Env {
  Bindings: { incoming?: { socket?: { remoteAddress?: string; destroy(): void } } };
  Variables: { requestId: string; actor: Actor | undefined };
}

const anonymous: Actor = { id: "-", name: "-", role: "viewer" };

/** The control plane over HTTP: the endpoint table, and nothing that is not in it (I40). */
export function createShell(deps: ShellDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    const given = c.req.header("x-request-id");
    const requestId = isRequestId(given) ? given : deps.newRequestId();
    c.set("requestId", requestId);
    const done = deps.log.begin();
    await next();
    for (const [name, value] of securityHeaders) c.res.headers.set(name, value);
    c.res.headers.set("x-request-id", requestId);
    done({ requestId, method: c.req.method, path: c.req.path, status: c.res.status, actor: c.get("actor") });
  });
  for (const name of endpointNames) {
    const endpoint: Endpoint = endpoints[name];
    app.on(endpoint.method, honoPath(endpoint.path), (c) => handle(deps, name, endpoint, c));
  }
  for (const [path, methods] of methodsByPath()) {
    app.all(honoPath(path), (c) => {
      c.header("allow", methods.join(", "));
      throw new StampyardError("METHOD_NOT_ALLOWED", `${c.req.method} is not a method of ${path}`, {
        mend: `Use ${methods.join(" or ")}.`,
      });
    });
  }
  app.notFound((c) =>
    fail(deps, c, new StampyardError("NOT_FOUND", "No such endpoint", { mend: "See /v1/openapi.json." })),
  );
  app.onError((caught, c) => fail(deps, c, caught));
  return app;
}

const securityHeaders = [
  ["x-content-type-options", "nosniff"],
  // Answers are of one moment and for one token.
  ["cache-control", "no-store"],
  ["referrer-policy", "no-referrer"],
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
] as const;

async function handle(deps: ShellDeps, name: EndpointName, endpoint: Endpoint, c: Context<Env>): Promise<Response> {
  const actor = await authorize(deps, endpoint, c.req.raw.headers.get("authorization"));
  if (endpoint.role !== "none") c.set("actor", actor);
  const { headers } = c.req.raw;
  const params = validate("path", endpoint.params, c.req.param());
  const query = validate("query", endpoint.query, readQuery(new URL(c.req.url)));
  const ifMatch = endpoint.ifMatch ? readIfMatch(headers.get("if-match")) : undefined;
  const key = endpoint.idempotencyKey ? readIdempotencyKey(headers.get("idempotency-key")) : undefined;
  const body = validate("body", endpoint.body, await readBody(endpoint, c.req.raw));
  const requestId = c.get("requestId");
  const ending = new AbortController();
  const cut = () => c.env?.incoming?.socket?.destroy();
  const call = {
    params,
    query,
    body,
    actor,
    ifMatch,
    requestId,
    peer: c.env?.incoming?.socket?.remoteAddress,
    headers,
    signal: AbortSignal.any([c.req.raw.signal, ending.signal]),
    cut,
  };
  const run = async (): Promise<Answer> => answerOf(endpoint, await (deps.handlers[name] as AnyHandler)(call));
  const keyed = { key, principal: actor.id, requestId, name, params, query, body };
  const answer = await withIdempotency(deps.idempotency, keyed, run);
  return answer.toResponse({
    onError: (caught) => {
      // The status is long gone: only a broken connection tells the reader that this is not the end.
      if (!call.signal.aborted) deps.log.failure({ requestId, error: caught });
      cut();
    },
    onCancel: () => ending.abort(),
  });
}

/** @throws StampyardError UNAUTHENTICATED or FORBIDDEN */
async function authorize(deps: ShellDeps, endpoint: Endpoint, header: string | null): Promise<Actor> {
  if (endpoint.role === "none") return anonymous;
  const token = readBearer(header);
  const actor = token === undefined ? undefined : await deps.authenticate(token);
  if (actor === undefined) {
    throw new StampyardError(
      "UNAUTHENTICATED",
      token === undefined ? "This endpoint needs a token" : "The token is unknown or revoked",
      { mend: "Send Authorization: Bearer with a token of this fleet (stampyard token create makes one)." },
    );
  }
  if (!mayCall(actor.role, endpoint.role)) {
    throw new StampyardError("FORBIDDEN", `A token with role ${actor.role} may not call this endpoint`, {
      mend: `Use a token with role ${endpoint.role}${endpoint.role === "router" ? "" : " or more"}.`,
    });
  }
  return actor;
}

function fail(deps: ShellDeps, c: Context<Env>, caught: unknown): Response {
  const error = StampyardError.from(caught);
  const requestId = c.get("requestId");
  const problem = problemOf(error, requestId);
  if (problem.status >= 500) deps.log.failure({ requestId, error: caught });
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (error.code === "UNAUTHENTICATED") headers.set("www-authenticate", 'Bearer realm="stampyard"');
  if (problem.status === 503) headers.set("retry-after", "1");
  const allow = c.res.headers.get("allow");
  if (allow !== null && error.code === "METHOD_NOT_ALLOWED") headers.set("allow", allow);
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

function methodsByPath(): ReadonlyMap<string, readonly string[]> {
  const methods = new Map<string, string[]>();
  for (const name of endpointNames) {
    const { path, method } = endpoints[name];
    methods.set(path, [...(methods.get(path) ?? []), method]);
  }
  return methods;
}
