import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type CallOptions, type StampEngine, StampyardError, type StampSpec } from "@stampyard/domain";

/**
 * An engine that lives on when the control plane that speaks to it is killed, as stamp hosts do; what it was doing for
 * that control plane ends with it. Beside it, points at which that control plane stands still until it may go on.
 */

export interface EngineServer extends AsyncDisposable {
  readonly url: string;
}

type Asked = { readonly spec?: StampSpec; readonly stamp?: string; readonly token?: number; readonly point?: string };

/** @param at called at each point; the control plane goes on when it resolves */
export async function serveEngine(engine: StampEngine, at: (point: string) => Promise<void>): Promise<EngineServer> {
  const server = createServer((request, response) => {
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("Who asked is gone")));
    answer(engine, at, request, gone.signal).then(
      (body) => response.end(JSON.stringify(body ?? null)),
      (caught: unknown) => {
        const { code, message } = StampyardError.from(caught);
        response.writeHead(500).end(JSON.stringify({ code, message }));
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  engine: StampEngine,
  at: (point: string) => Promise<void>,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<unknown> {
  let text = "";
  for await (const part of request.setEncoding("utf8")) text += part;
  const { spec, stamp = "", token = 0, point = "" } = JSON.parse(text) as Asked;
  const call: CallOptions = { token, signal };
  const given = spec as StampSpec;
  switch (request.url) {
    case "/at":
      return await at(point);
    case "/plan":
      return await engine.plan(given, signal);
    case "/apply":
      return await engine.apply(given, call);
    case "/observe":
      return await engine.observe(stamp, signal);
    case "/destroy":
      return await engine.destroy(stamp, call);
    default:
      throw new RangeError(`No such call ${request.url}`);
  }
}

/** The other end of it. */
export function remoteEngine(url: string): StampEngine & { at(point: string): Promise<void> } {
  async function ask<T>(path: string, asked: Asked, signal?: AbortSignal): Promise<T> {
    const response = await fetch(`${url}${path}`, {
      method: "POST",
      body: JSON.stringify(asked),
      ...(signal === undefined ? {} : { signal }),
    });
    const body: unknown = await response.json();
    if (response.ok) return body as T;
    const { code, message } = body as { code: "STAMP_FAILED"; message: string };
    throw new StampyardError(code, message);
  }
  return {
    kind: "local",
    at: (point) => ask("/at", { point }),
    plan: (spec, signal) => ask("/plan", { spec }, signal),
    apply: (spec, { token, signal }) => ask("/apply", { spec, token }, signal),
    update: () => Promise.reject(new RangeError("Nobody updates one component here")),
    observe: (stamp, signal) => ask("/observe", { stamp }, signal),
    run: () => Promise.reject(new RangeError("There is no job")),
    async *logs() {},
    destroy: (stamp, { token, signal }) => ask("/destroy", { stamp, token }, signal),
    operatorUrl: async () => undefined,
    isolation: async () => [],
  };
}
