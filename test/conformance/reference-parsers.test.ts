import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findDebianBinary } from "../debian-binary.ts";
import { corpus } from "./families.ts";
import { answersOf, openRawClient } from "./raw-client.ts";
import { startRecordingStamp } from "./recording-stamp.ts";
import { eventually, hostOf, startRouterUnderTest } from "./router-under-test.ts";
import { type ReadRequest, valuesOf } from "./strict-reader.ts";
import type { Canonical, Payload, Verdict } from "./verdict.ts";

const folder = mkdtempSync(join(tmpdir(), "stampyard-reference-"));
const children: ChildProcess[] = [];
const lanes = 6;

afterAll(async () => {
  for (const child of children) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode === null && child.kill("SIGKILL")) await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Both read requests with room for what the router lets through, and pass on what they understood. */
const configs = {
  nginx: (ports: readonly number[], behind: readonly number[]) => `
daemon off; master_process off; error_log stderr crit; pid ${folder}/nginx.pid;
events { worker_connections 512; }
http {
  access_log off; client_max_body_size 0; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  large_client_header_buffers 8 32k; underscores_in_headers on; ignore_invalid_headers off; keepalive_requests 100000;
  ${ports.map((port, n) => `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${behind[n]}; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; } }`).join("\n  ")}
}`,
  haproxy: (ports: readonly number[], behind: readonly number[]) => `
global
  tune.bufsize 65536
  tune.maxrewrite 1024
  tune.http.maxhdr 200
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
${ports.map((port, n) => `frontend f${n}\n  bind 127.0.0.1:${port}\n  default_backend b${n}\nbackend b${n}\n  server s 127.0.0.1:${behind[n]}`).join("\n")}
`,
} as const;

/** What the payload may be to a stamp, at most. */
function requestsOf(verdict: Verdict): readonly Canonical[] {
  if (verdict.kind === "accept") return verdict.requests;
  if (verdict.kind === "reject") return verdict.after;
  if (verdict.kind === "either") return verdict.of.map(requestsOf).find((requests) => requests.length > 0) ?? [];
  return [];
}

function differenceOf(payload: Payload, seen: readonly ReadRequest[], statuses: readonly number[]): string | undefined {
  const expected = requestsOf(payload.verdict);
  let at = 0;
  for (const { method, target, body } of seen) {
    while (at < expected.length && !same(expected[at], method, target, body)) at += 1;
    if (at >= expected.length) return `it read ${method} ${target} ${JSON.stringify(body.slice(0, 80))}`;
    at += 1;
  }
  // What it will not serve it must refuse as a whole: an answer of its own for each request that did not come through.
  const refused = statuses.filter((status) => status >= 400).length;
  if (payload.verdict.kind === "accept" && seen.length + refused < expected.length)
    return `${seen.length} of ${expected.length} requests, answers ${statuses.join(" ")}`;
  return undefined;
}

function same(expected: Canonical | undefined, method: string, target: string, body: string): boolean {
  return expected?.method === method && expected.target === target && expected.body === body;
}

describe.each(["nginx", "haproxy"] as const)("%s behind the router", (name) => {
  const binary = findDebianBinary(name);

  test("is there, where it has to be", () => {
    if (process.env["CI"] !== undefined)
      expect(binary, `${name}: neither installed nor to be had by apt-get download`).toBeDefined();
  });

  test.skipIf(binary === undefined)(
    "reads what the router sends as the same single requests (I8)",
    async () => {
      const recordings = await Promise.all(Array.from({ length: lanes }, () => startRecordingStamp()));
      const ports = await Promise.all(recordings.map(freePort));
      const file = join(folder, `${name}.conf`);
      writeFileSync(
        file,
        configs[name](
          ports,
          recordings.map(({ port }) => port),
        ),
      );
      const args = name === "nginx" ? ["-p", folder, "-c", file] : ["-db", "-f", file];
      const child = spawn(binary?.path ?? name, args, {
        env: { ...process.env, ...binary?.env },
        stdio: ["ignore", "ignore", "pipe"],
      });
      children.push(child);
      let log = "";
      child.stderr?.on("data", (bytes) => {
        log += String(bytes);
      });
      await Promise.all(ports.map((port) => untilListening(port, () => log)));
      await using router = await startRouterUnderTest(
        ports.map((port, n) => ({ stamp: `s-${n}`, tenant: `lane-${n}`, port })),
      );

      const problems: string[] = [];
      let read = 0;
      let refused = 0;
      await Promise.all(
        recordings.map(async (recording, lane) => {
          const payloads = corpus(hostOf(`lane-${lane}`)).filter(({ verdict }) => requestsOf(verdict).length > 0);
          for (const [n, payload] of payloads.entries()) {
            if (n % lanes !== lane) continue;
            recording.requests.length = recording.faults.length = 0;
            const methods = requestsOf(payload.verdict).map(({ method }) => method);
            const client = await openRawClient(router.port);
            client.send(payload.bytes);
            await client.until(
              () => answersOf(client, methods).answers.filter(({ complete }) => complete).length >= methods.length,
              3_000,
            );
            const statuses = answersOf(client, methods).answers.map(({ status }) => status);
            client.socket.destroy();
            read += recording.requests.length;
            refused += statuses.filter((status) => status >= 400 && payload.verdict.kind === "accept").length;
            const unsigned = recording.requests.find(({ fields }) => valuesOf(fields, "stampyard-route").length !== 1);
            const problem =
              unsigned === undefined
                ? differenceOf(payload, recording.requests, statuses)
                : "route header is not there once";
            if (problem !== undefined) problems.push(`${payload.id}: ${problem}`);
          }
        }),
      );
      await Promise.all(recordings.map((recording) => recording.stop()));
      expect(problems, `${problems.length} read in another way; ${log.slice(-500)}`).toEqual([]);
      expect(read).toBeGreaterThan(1_000);
      // Each has opinions about targets and names that the router leaves to the stamp.
      expect(refused, "refused by it").toBeLessThan(read / 20);
      console.log(`${name}: ${read} requests read alike, ${refused} refused by it`);
    },
    60_000,
  );
});

/** A port that was free a moment ago: these two cannot be asked which one they took. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function untilListening(port: number, log: () => string): Promise<void> {
  await eventually(
    () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(port, "127.0.0.1");
        socket.once("connect", () => {
          socket.destroy();
          resolve();
        });
        socket.once("error", () => reject(new Error(`Nobody listens on ${port}: ${log()}`)));
      }),
    10_000,
  );
}
