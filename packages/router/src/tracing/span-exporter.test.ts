import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { AccessEntry } from "../access-log.ts";
import { eventually } from "../test-bed/test-bed.ts";
import { spanOf } from "./otlp.ts";
import { createSpanExporter } from "./span-exporter.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
});

const traceId = "0af7651916cd43dd8448eb211c80319c";
const entry: AccessEntry = {
  time: "2026-01-02T03:04:05.678Z",
  requestId: "r-1",
  method: "GET",
  path: "/notes",
  tenant: "acme",
  stamp: "eu-1",
  epoch: 3,
  status: 503,
  reason: "stamp-unreachable",
  ms: 12.5,
  traceparent: `00-${traceId}-b7ad6b7169203331-01`,
};

async function startCollector(handler: (request: IncomingMessage, response: ServerResponse, body: string) => void) {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += String(chunk);
    });
    request.on("end", () => handler(request, response, body));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
}

test("spanOf() is a span below the caller's, and nothing where the caller did not sample", () => {
  expect(spanOf(entry, "00f067aa0ba902b7")).toMatchObject({
    traceId,
    spanId: "00f067aa0ba902b7",
    parentSpanId: "b7ad6b7169203331",
    startTimeUnixNano: "1767323045665500000",
    endTimeUnixNano: "1767323045678000000",
    status: { code: 2 },
  });
  expect(spanOf({ ...entry, traceparent: `00-${traceId}-b7ad6b7169203331-00` }, "1")).toBeUndefined();
  expect(spanOf({ ...entry, traceparent: `00-${"0".repeat(32)}-b7ad6b7169203331-01` }, "1")).toBeUndefined();
  const { traceparent: _, ...untraced } = entry;
  expect(spanOf(untraced, "1")).toBeUndefined();
});

test("spans are posted in batches with the configured headers, and what is left at the end", async () => {
  const bodies: string[] = [];
  const tokens: (string | undefined)[] = [];
  const url = await startCollector((request, response, body) => {
    bodies.push(body);
    tokens.push(request.headers.authorization);
    response.end("{}");
  });
  const exporter = createSpanExporter({ url, headers: { authorization: "Bearer x" }, service: "edge" }, "edge-1");
  for (let n = 0; n < 700; n++) exporter.write(entry);
  await exporter.close();
  const spans = bodies.flatMap((body) => {
    const { resourceSpans } = JSON.parse(body) as {
      resourceSpans: { scopeSpans: { spans: { spanId: string }[] }[] }[];
    };
    return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
  });
  expect(spans).toHaveLength(700);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(700);
  expect(tokens).toEqual(["Bearer x", "Bearer x"]);
  expect(exporter.counts()).toEqual({ sent: 700, dropped: 0 });
});

test("a collector that hangs or refuses loses spans, is counted, and holds nobody up (I13)", async () => {
  const url = await startCollector(() => {});
  const exporter = createSpanExporter({ url, headers: {}, service: "edge" }, "edge-1");
  const began = performance.now();
  for (let n = 0; n < 10_000; n++) exporter.write(entry);
  expect(performance.now() - began).toBeLessThan(1_000);
  // 2048 wait, up to 512 are on their way.
  expect(exporter.counts().dropped).toBeGreaterThanOrEqual(10_000 - 2_048 - 512);
  await exporter.close();
  expect(performance.now() - began).toBeLessThan(3_000);

  const refusing = await startCollector((_request, response) => {
    response.writeHead(503).end();
  });
  const refused = createSpanExporter({ url: refusing, headers: {}, service: "edge" }, "edge-1");
  refused.write(entry);
  await refused.close();
  await eventually(() => expect(refused.counts()).toEqual({ sent: 0, dropped: 1 }));
});
