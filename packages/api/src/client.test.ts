import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { StampyardError } from "@stampyard/domain";
import { afterEach, expect, expectTypeOf, test } from "vitest";
import { createClient } from "./client.ts";
import { problemOf } from "./problem.ts";
import type { TenantView } from "./schemas/tenants.ts";

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanUps.splice(0)) await clean();
});

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

async function serve(answer: (seen: Seen, response: ServerResponse, count: number) => void) {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const one = { method: request.method, url: request.url, headers: request.headers, body };
      seen.push(one);
      answer(one, response, seen.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUps.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function json(response: ServerResponse, value: unknown, status = 200) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

const acme: TenantView = {
  key: "acme",
  pool: "shared",
  tier: "standard",
  residency: [],
  weight: { tenants: 1 },
  hostnames: [],
  phase: "active",
  goal: "present",
  stamp: "shared-1",
  epoch: 1,
  revision: 3,
};

async function failureOf(promise: Promise<unknown>): Promise<StampyardError> {
  const caught = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(caught instanceof StampyardError)) throw new Error(`Expected a StampyardError, got ${String(caught)}`);
  return caught;
}

test("createClient() sends method, path, query, body, token and headers as the table says", async () => {
  const { url, seen } = await serve((_, response) => json(response, acme, 201));
  const client = createClient({ url: `${url}/`, token: "t0ken" });
  const tenant = await client.tenantCreate({ body: { key: "acme", pool: "shared" }, query: { wait: 500 } });
  expectTypeOf(tenant).toEqualTypeOf<TenantView>();
  expect(tenant).toEqual(acme);
  expect(seen[0]).toMatchObject({
    method: "POST",
    url: "/v1/tenants?wait=500",
    body: '{"key":"acme","pool":"shared"}',
  });
  expect(seen[0]?.headers).toMatchObject({ authorization: "Bearer t0ken", "content-type": "application/json" });
  expect(seen[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f-]{36}$/);

  await client.tenantDelete({ params: { key: "acme" }, ifMatch: 3 });
  expect(seen[1]?.headers["if-match"]).toBe('"3"');
});

test("createClient() turns a problem into the server's own error", async () => {
  const problems = [{ message: "Unknown field", file: "fleet.yaml", line: 3, column: 5 }];
  const error = new StampyardError("INVALID_MANIFEST", "1 problem", { mend: "Mend it.", problems });
  const { url } = await serve((_, response) => json(response, problemOf(error), 422));
  const body = { fleetYaml: "", templateYaml: "", sourceDir: "/x" };
  const failure = await failureOf(createClient({ url }).plan({ body }));
  expect({ code: failure.code, message: failure.message, mend: failure.mend }).toEqual({
    code: "INVALID_MANIFEST",
    message: "1 problem",
    mend: "Mend it.",
  });
  expect(failure.problems).toEqual(problems);
});

test("createClient() names an answer that is no control plane's", async () => {
  const { url } = await serve((seen, response) => {
    if (seen.url === "/v1/fleet") response.writeHead(502).end("<html>");
    else json(response, { hello: "world" });
  });
  const client = createClient({ url });
  expect((await failureOf(client.fleetGet())).code).toBe("INTERNAL");
  expect((await failureOf(client.status())).code).toBe("UNEXPECTED_ANSWER");
});

test("createClient() repeats what may be repeated when the connection breaks, and nothing else", async () => {
  const { url, seen } = await serve((one, response, count) => {
    if (count === 1 || one.method === "DELETE") response.destroy();
    else json(response, acme);
  });
  const client = createClient({ url });
  expect(await client.tenantGet({ params: { key: "acme" } })).toEqual(acme);
  expect(seen.length).toBe(2);
  const failure = await failureOf(client.tenantDelete({ params: { key: "acme" } }));
  expect(failure.code).toBe("CONTROL_PLANE_UNREACHABLE");
  expect(seen.length).toBe(3);
});

test("createClient() repeats a creation under one idempotency key", async () => {
  const { url, seen } = await serve((_, response, count) =>
    count === 1 ? response.destroy() : json(response, acme, 201),
  );
  await createClient({ url }).tenantCreate({ body: { key: "acme" } });
  expect(seen[0]?.headers["idempotency-key"]).toBe(seen[1]?.headers["idempotency-key"]);
});

test("createClient() keeps the token out of every error", async () => {
  const client = createClient({ url: "http://127.0.0.1:1", token: "t0psecret", attempts: 1 });
  const failure = await failureOf(client.status());
  expect(failure.code).toBe("CONTROL_PLANE_UNREACHABLE");
  expect(JSON.stringify(failure) + failure.message + failure.mend + String(failure.cause)).not.toContain("t0psecret");
});

test("all() and pages() follow cursors to the end", async () => {
  const { url, seen } = await serve((one, response) => {
    const cursor = new URL(one.url ?? "", "http://x").searchParams.get("cursor");
    const items = [{ ...acme, key: cursor === null ? "a" : "b" }];
    json(response, cursor === null ? { items, nextCursor: "next+/=" } : { items });
  });
  const client = createClient({ url });
  expect((await client.all("tenantList", { query: { limit: 1, pool: "shared" } })).map((t) => t.key)).toEqual([
    "a",
    "b",
  ]);
  expect(seen.map((one) => one.url)).toEqual([
    "/v1/tenants?limit=1&pool=shared",
    "/v1/tenants?limit=1&pool=shared&cursor=next%2B%2F%3D",
  ]);
});

test("stampLogs() gives lines, whatever the chunks", async () => {
  const { url } = await serve((_, response) => {
    const bytes = Buffer.from("api | grün\r\nworker | b\nlast");
    for (let at = 0; at < bytes.length; at += 5) response.write(bytes.subarray(at, at + 5));
    response.end();
  });
  const lines: string[] = [];
  for await (const line of await createClient({ url }).stampLogs({ params: { name: "shared-1" } })) lines.push(line);
  expect(lines).toEqual(["api | grün", "worker | b", "last"]);
});

test("events() gives what the table knows, and leaving the loop ends the stream", async () => {
  let closed: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => (closed = resolve));
  const { url } = await serve((_, response) => {
    response.on("close", () => closed?.());
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(': hi\n\nevent: x\ndata: {"kind":"from-the-future"}\n\n');
    response.write('data: {"kind":"directory","at":"2026-01-01T00:00:00Z","version":7}\n\n');
  });
  for await (const event of await createClient({ url }).events()) {
    expect(event).toEqual({ kind: "directory", at: "2026-01-01T00:00:00Z", version: 7 });
    break;
  }
  await ended;
});

test("a call with a hostile parameter stays on its own endpoint", async () => {
  const { url, seen } = await serve((_, response) =>
    json(response, problemOf(new StampyardError("NOT_FOUND", "No")), 404),
  );
  const client = createClient({ url });
  expect((await failureOf(client.tenantGet({ params: { key: ".." } }))).code).toBe("INVALID_REQUEST");
  await failureOf(client.tenantGet({ params: { key: "a/../../x?y#z" } }));
  expect(seen.map((one) => one.url)).toEqual(["/v1/tenants/a%2F..%2F..%2Fx%3Fy%23z"]);
});
