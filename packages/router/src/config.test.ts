import { StampyardError } from "@stampyard/domain";
import { expect, test } from "vitest";
import { readRouterConfig } from "./config.ts";
import { runtimeProblem } from "./runtime.ts";

test("readRouterConfig() has defaults for all but the state folder", () => {
  expect(readRouterConfig({ STAMPYARD_ROUTER_STATE: "/var/lib/r" }, 3)).toEqual({
    name: "router",
    stateDir: "/var/lib/r",
    listen: { host: "127.0.0.1", port: 8080 },
    admin: { host: "127.0.0.1", port: 8081 },
    workers: 3,
  });
});

test("readRouterConfig() reads everything", () => {
  const env = {
    STAMPYARD_ROUTER_STATE: "/s",
    STAMPYARD_ROUTER_NAME: "edge-1",
    STAMPYARD_ROUTER_LISTEN: "[::]:0",
    STAMPYARD_ROUTER_ADMIN: "[::1]:9000",
    STAMPYARD_API: "http://127.0.0.1:7400/",
    STAMPYARD_TOKEN_FILE: "/secrets/token",
    STAMPYARD_ROUTER_ENTRANCE: "https://edge.example.com/",
    STAMPYARD_ROUTER_ACCESS_LOG: "/log/access",
    STAMPYARD_ROUTER_DRAIN_MS: "5000",
    STAMPYARD_ROUTER_MAX_CONNECTIONS: "20",
    STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_STAMP: "30",
    STAMPYARD_ROUTER_ANSWER_TIMEOUT_MS: "90000",
    STAMPYARD_ROUTER_QUEUE_TIMEOUT_MS: "700",
    STAMPYARD_ROUTER_WORKERS: "0",
    STAMPYARD_ROUTER_TENANT_METRICS: "50",
    STAMPYARD_ROUTER_IO: "fast",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318/",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x, x-org = 7",
  };
  expect(readRouterConfig(env)).toMatchObject({
    name: "edge-1",
    listen: { host: "::", port: 0 },
    admin: { host: "::1", port: 9000 },
    controlPlane: { url: "http://127.0.0.1:7400", tokenFile: "/secrets/token" },
    entrance: "https://edge.example.com",
    accessLog: "/log/access",
    drainMs: 5_000,
    maxConnections: 20,
    maxConnectionsPerStamp: 30,
    answerTimeoutMs: 90_000,
    queueTimeoutMs: 700,
    workers: 0,
    tenantMetrics: 50,
    io: "fast",
    tracing: {
      url: "http://127.0.0.1:4318/v1/traces",
      headers: { authorization: "Bearer x", "x-org": "7" },
      service: "stampyard-router-edge-1",
    },
  });
});

test("readRouterConfig() complains about everything at once", () => {
  try {
    readRouterConfig({
      STAMPYARD_ROUTER_NAME: "Router 1",
      STAMPYARD_ROUTER_LISTEN: "8080",
      STAMPYARD_ROUTER_ADMIN: "0.0.0.0:8081",
      STAMPYARD_API: "ftp://x",
      STAMPYARD_ROUTER_DRAIN_MS: "-1",
      STAMPYARD_ROUTER_IO: "quick",
      STAMPYARD_ROUTER_ANSWER_TIMEOUT_MS: "1",
    });
    expect.unreachable();
  } catch (caught) {
    const { problems } = StampyardError.from(caught);
    const paths = problems.map((problem) => problem.path?.replace("STAMPYARD_", ""));
    expect(paths).toEqual([
      "ROUTER_NAME",
      "ROUTER_STATE",
      "ROUTER_LISTEN",
      "ROUTER_ADMIN",
      "API",
      "ROUTER_DRAIN_MS",
      "ROUTER_ANSWER_TIMEOUT_MS",
      "ROUTER_IO",
    ]);
    expect(problems.every((problem) => problem.mend !== undefined)).toBe(true);
  }
});

test.each([
  ["20.20.2", false],
  ["22.23.2", false],
  ["24.18.1", false],
  ["24.21.0", true],
  ["26.1.0", true],
])("runtimeProblem() of Node %s", (version, fine) => {
  expect(runtimeProblem(version) === undefined).toBe(fine);
});
