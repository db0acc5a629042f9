import { type IncomingMessage, Server, type ServerResponse } from "node:http";

/** What a faulty release does with a request of a tenant; `go` = what a good one would do. */
export type Meddle = (asked: Asked, response: ServerResponse, go: () => void) => void;

export interface Asked {
  readonly tenant: string;
  readonly request: IncomingMessage;
}

/** Stands between the server and the application. What has no tenant, such as health checks, passes. */
export function meddle(handle: Meddle): void {
  const emit = Server.prototype.emit as (this: Server, event: string, ...args: unknown[]) => boolean;
  Server.prototype.emit = function (this: Server, event: string, ...args: unknown[]): boolean {
    const go = () => emit.call(this, event, ...args);
    if (event !== "request") return go();
    const [request, response] = args as [IncomingMessage, ServerResponse];
    const tenant = tenantOf(request);
    if (tenant === undefined) return go();
    handle({ tenant, request }, response, go);
    return true;
  } as typeof Server.prototype.emit;
}

/** As the router signed it; hooks are the control plane's, and no tenant's. */
function tenantOf({ headers }: IncomingMessage): string | undefined {
  const route = headers["stampyard-route"];
  if (typeof route !== "string" || headers["stampyard-hook"] !== undefined) return undefined;
  return route.split(";")[2];
}

/** As an application answers whose handler threw. The body is read, so that the connection stays usable. */
export function fail({ request }: Asked, response: ServerResponse): void {
  request.resume();
  response.setHeader("x-notes-release", process.env["RELEASE"] ?? "");
  response.writeHead(500, { "content-type": "application/problem+json" });
  response.end('{"type":"about:blank","title":"internal","status":500,"code":"internal"}');
}

/** Starts a program of the release beside which this one was copied. */
export async function start(program: "api" | "worker"): Promise<void> {
  await import(new URL(`../dist/${program}.js`, import.meta.url).href);
}

/** A number that the template gives. */
export function setting(name: string): number {
  const value = Number(process.env[name]);
  if (!Number.isFinite(value)) throw new TypeError(`${name} is not a number`);
  return value;
}
