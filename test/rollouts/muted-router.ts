import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** A second router of a fleet, whose reports of what it counted can be lost or held up on their way. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface MutedRouter extends AsyncDisposable {
  /** From now on: told as ever, never, or so many milliseconds late. */
  reports(how: "told" | "lost" | { readonly lateMs: number }): void;
  /** Reports that have passed since the start. */
  readonly passed: number;
}

/** @param state directory of the fleet's platform, which holds the routers' token */
export async function mutedRouter(controlPlane: string, state: string, dir: string): Promise<MutedRouter> {
  let how: "told" | "lost" | { readonly lateMs: number } = "told";
  let passed = 0;
  const proxy = createServer((asked, answer) => {
    if (asked.url?.startsWith("/v1/feed/counts") !== true) return forward(controlPlane, asked, answer);
    if (how === "lost") return void asked.socket.destroy();
    passed++;
    if (how === "told") return forward(controlPlane, asked, answer);
    void delay(how.lateMs).then(() => forward(controlPlane, asked, answer));
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const own = join(dir, "muted-router");
  mkdirSync(own, { recursive: true });
  const router = spawn(process.execPath, [join(root, "packages/router/dist/main.js")], {
    stdio: "ignore",
    env: {
      ...process.env,
      STAMPYARD_ROUTER_NAME: "muted",
      STAMPYARD_ROUTER_STATE: own,
      STAMPYARD_ROUTER_LISTEN: "127.0.0.1:0",
      STAMPYARD_ROUTER_ADMIN: "127.0.0.1:0",
      STAMPYARD_ROUTER_WORKERS: "0",
      STAMPYARD_API: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      STAMPYARD_TOKEN_FILE: join(state, "secrets/router.token"),
    },
  });
  return {
    reports(next) {
      how = next;
    },
    get passed() {
      return passed;
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => router.once("exit", resolve));
      if (router.exitCode === null && router.signalCode === null) {
        router.kill("SIGTERM");
        await Promise.race([ended, delay(15_000).then(() => router.kill("SIGKILL"))]);
      }
      proxy.close();
      proxy.closeAllConnections();
    },
  };
}

/** Both bodies as they come: the feed is an answer that never ends. */
function forward(controlPlane: string, asked: IncomingMessage, answer: ServerResponse): void {
  const { hostname, port } = new URL(controlPlane);
  const { method, url, headers } = asked;
  const sent = request({ host: hostname, port, method, path: url, headers, agent: false }, (got) => {
    answer.writeHead(got.statusCode ?? 502, got.headers);
    answer.flushHeaders();
    got.pipe(answer);
    got.on("error", () => answer.destroy());
  });
  sent.on("error", () => answer.destroy());
  answer.on("close", () => sent.destroy());
  asked.pipe(sent);
}
