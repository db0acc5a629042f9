import type { IncomingMessage, ServerResponse } from "node:http";
import type { Guard, HookPassage, Passage, Refusal } from "./guard.ts";
import { hookHeader } from "./names.ts";

type Handled = void | Promise<void>;

export interface GuardHttpOptions {
  /** Serves the hooks of tenants; `passage.hook` says which. Without it hook calls are refused. Must be safe to repeat. */
  readonly hook?: (request: IncomingMessage, response: ServerResponse, passage: HookPassage) => Handled;
  /** Paths that anybody inside the stamp may ask, such as `/healthz`: exact, without query. They get no tenant. */
  readonly open?: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => Handled>>;
}

/**
 * Wraps a node:http request listener: `handler` runs only for requests that the guard lets pass, and gets who they are
 * for. Everything else is answered 503 as problem+json. A handler that throws answers 500 without detail; what the fence
 * in the database refused (SQLSTATE `SY001` and on) is answered 503: the tenant moves, and the same request will work.
 */
export function guardHttp(
  guard: Guard,
  handler: (request: IncomingMessage, response: ServerResponse, passage: Passage) => Handled,
  options: GuardHttpOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const open = openHandler(options, request);
    if (open !== undefined) return await open(request, response);
    if (request.headers[hookHeader] !== undefined) {
      const passage = guard.checkHook(request.headers);
      if (passage.kind === "refuse") return sendRefusal(response, passage);
      if (options.hook === undefined)
        return sendProblem(response, 501, "NO_HOOK", "This service has no tenant hooks", {});
      return await options.hook(request, response, passage);
    }
    const verdict = await guard.check(request.headers);
    if (verdict.kind === "refuse") return sendRefusal(response, verdict);
    await handler(request, response, verdict);
  };
  return (request, response) => {
    serve(request, response).catch((caught: unknown) => {
      if (response.headersSent) response.destroy();
      else if (isFenced(caught)) sendProblem(response, 503, "TENANT_MOVES", "The tenant moves", { "retry-after": "1" });
      else sendProblem(response, 500, "INTERNAL", "Unexpected failure", {});
    });
  };
}

/** Answers a refusal; the router turns it into its own 503 and keeps the reason. */
export function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  sendProblem(response, refusal.status, "ROUTE_REFUSED", "This stamp does not serve the request now", refusal.headers, {
    reason: refusal.reason,
  });
}

/** As drivers tell it: the SQLSTATE is the error's `code`. */
function isFenced(caught: unknown): boolean {
  return caught instanceof Error && "code" in caught && /^SY\d{3}$/.test(String(caught.code));
}

function openHandler(options: GuardHttpOptions, request: IncomingMessage) {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (options.open === undefined || !Object.hasOwn(options.open, path)) return undefined;
  return options.open[path];
}

function sendProblem(
  response: ServerResponse,
  status: number,
  code: string,
  title: string,
  headers: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify({ type: "about:blank", title, status, code, ...more });
  response.writeHead(status, { ...headers, "content-type": "application/problem+json", "cache-control": "no-store" });
  response.end(body);
}
