import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { GateProbe, SignalResult } from "@stampyard/domain";
import { afterEach, expect, test } from "vitest";
import type { Store } from "../../store/port.ts";
import { askQuery } from "./ask-queries.ts";
import { askRepeatedly } from "./ask-repeatedly.ts";
import { forget, memoryOf } from "./evidence-memory.ts";
import { probeByCommand } from "./probe-command.ts";
import { probeByHttp } from "./probe-http.ts";
import type { EvidenceDeps } from "./run-evidence.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function depsOf(port?: number): EvidenceDeps {
  const endpoints = port === undefined ? [] : [{ host: "127.0.0.1", port }];
  const secret = Buffer.alloc(32, 1).toString("base64url");
  const store = {
    stamps: {
      read: async () => ({ value: { origin: "built", endpoints } }),
      routeKeys: async () => [{ kid: "k1", secret, state: "current" }],
    },
  } as unknown as Store;
  const engine = { observe: async () => ({ endpoints }) };
  // No router can be asked here.
  memoryOf(store).presences.set("eu-1", { kind: "impossible", carriers: [], retryAt: 0, isBegun: false });
  return { store, engine, clock: { now: () => Date.now() } } as unknown as EvidenceDeps;
}

const http = (path: string, status = 200): Extract<GateProbe, { kind: "http" }> => ({
  ...{ kind: "http", name: "home", path, status, timeoutMs: 300 },
});
const command = (...argv: string[]): Extract<GateProbe, { kind: "command" }> => ({
  ...{ kind: "command", name: "check", command: argv, timeoutMs: 2_000 },
});
const about = { stamp: "eu-1", release: "sha256:2" };

test("an HTTP probe is good by its status, bad by another one or silence, and unknown without an endpoint", async () => {
  const routes: (string | undefined)[] = [];
  const port = await serve((request, response) => {
    routes.push(request.headers["stampyard-route"]?.toString());
    if (request.url === "/hang") return;
    response.writeHead(request.url === "/home" ? 200 : 500).end("x".repeat(100_000));
  });
  const ok = async (path: string, status?: number, stamp = "eu-1") =>
    (await probeByHttp(depsOf(port), http(path, status), stamp)).ok;
  expect(await ok("/home")).toBe(true);
  expect(await ok("/broken")).toBe(false);
  expect(await ok("/broken", 500)).toBe(true);
  expect(await ok("/hang")).toBe(false);
  expect(routes[0]).toContain("stampyard-verify-eu-1");
  expect((await probeByHttp(depsOf(), http("/home"), "eu-1")).ok).toBeUndefined();
  expect(await ok("/home", 200, "eu-2"), "its tenant of ours is not there yet").toBeUndefined();
  expect(await probeByHttp(depsOf(1), http("/home"), "eu-1")).toMatchObject({ ok: false, text: "/home: ECONNREFUSED" });
});

test("a command is good by 0, bad by anything else, and unknown by 75, without a program, and when it does not end", async () => {
  const ok = async (...argv: string[]) => (await probeByCommand(depsOf(80), command(...argv), about)).ok;
  expect(await ok("true")).toBe(true);
  expect(await ok("false")).toBe(false);
  expect(await ok("sh", "-c", "exit 75")).toBeUndefined();
  expect(await ok("/nowhere/at/all")).toBeUndefined();
  const hangs = { ...command("sleep", "60"), timeoutMs: 100 };
  expect((await probeByCommand(depsOf(80), hangs, about)).ok).toBeUndefined();
});

test("a command hears stamp, release and endpoint, and nothing of our environment", async () => {
  process.env["STAMPYARD_TEST_SECRET"] = "hush";
  const said = await probeByCommand(
    depsOf(4711),
    command("sh", "-c", 'echo "$STAMP $RELEASE $ENDPOINT/$STAMPYARD_TEST_SECRET"'),
    about,
  );
  delete process.env["STAMPYARD_TEST_SECRET"];
  expect(said.text).toContain("eu-1 sha256:2 http://127.0.0.1:4711/");
  expect(said.text).not.toContain("hush");
});

test("a query is judged by its one number; none, several, NaN and no answer say nothing", async () => {
  let answer: unknown;
  const asked: string[] = [];
  const port = await serve((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => {
      body += part.toString();
    });
    request.on("end", () => {
      asked.push(`${request.url} ${new URLSearchParams(body).get("query")}`);
      response.end(JSON.stringify(answer));
    });
  });
  const query = { name: "rate", url: `http://127.0.0.1:${port}/prom/`, query: 'rate(x{s="${stamp}"})', atMost: 2 };
  const vector = (...values: string[]) => ({
    status: "success",
    data: { resultType: "vector", result: values.map((value) => ({ metric: {}, value: [1, value] })) },
  });
  const judged = async (given: unknown) => {
    answer = given;
    return (await askQuery(query, "eu-1")).ok;
  };
  expect(await judged(vector("1.5"))).toBe(true);
  expect(await judged(vector("2.5"))).toBe(false);
  expect(await judged({ status: "success", data: { resultType: "scalar", result: [1, "2"] } })).toBe(true);
  for (const nothing of [vector(), vector("1", "2"), vector("NaN"), { status: "error", error: "x" }, "what"]) {
    expect(await judged(nothing)).toBeUndefined();
  }
  expect(asked[0]).toBe('/prom/api/v1/query rate(x{s="eu-1"})');
  expect((await askQuery({ ...query, url: "http://127.0.0.1:1/?token=hush" }, "eu-1")).text).not.toContain("hush");
});

test("askRepeatedly() says bad after two failures in a row, and nothing from an answer that is old", async () => {
  const memory = forget({} as Store);
  let now = 1_000_000;
  let result: SignalResult = { name: "home", ok: false, text: "500" };
  let asked = 0;
  const look = async () => {
    const said = askRepeatedly(
      memory,
      { now: () => now },
      {
        ...{ key: "k", name: "home", now },
        ask: async () => {
          asked += 1;
          return result;
        },
      },
    );
    await new Promise((resolve) => setImmediate(resolve));
    return said.ok;
  };
  expect(await look()).toBeUndefined();
  expect(await look(), "failed once").toBeUndefined();
  now += 1_000;
  await look();
  expect(await look(), "failed twice").toBe(false);
  result = { name: "home", ok: true, text: "200" };
  now += 5_000;
  await look();
  expect(await look()).toBe(true);
  const before = asked;
  await look();
  expect(asked).toBe(before);
  memory.answers.forEach((one) => {
    one.isAsking = true;
  });
  now += 31_000;
  expect(await look(), "a question that hangs").toBeUndefined();
});
