import { expect, test } from "vitest";
import { parseTemplate } from "./template.ts";

const full = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
stages:
  - name: base
    engine: command
    components:
      search: { kind: external, url: "https://search:9200", secret: file:/run/search }
  - name: apps
    engine: local
    components:
      db:
        kind: postgres
        version: 17
        maxConnections: 20
        protect: true
        resources: { memory: 1Gi, cpus: 2 }
        ids: { a: uuid, b: composite, c: { block: 1000 }, d: { stride: 64 } }
        via: { order_lines: [orders] }
        fence: off
        reference: [public.vat, currencies]
        ignored: [migrations.done]
      cache: { kind: redis, maxMemory: 32MB, persistence: aof }
      queue: { kind: nats, jetstream: true }
      welcome: { kind: job, command: [sh, -c, "echo $HOME"], timeout: 1m }
      migrate: { kind: job, image: "shop:\${release.version}", env: { URL: "\${db.migrationUrl}" } }
      api:
        kind: service
        command: node "my app.js"
        workdir: ../app
        replicas: 2
        port: auto
        health: { path: /healthz, timeout: 500ms, startWithin: 10s }
        stopGrace: 1s
        after: [queue, cache, queue]
        env: { N: 1.10, B: true, T: text, Y: yes }
ingress: { service: api }
capacity: { tenants: 5, units: { rps: 1.5 } }
tenancy: { model: database }
hooks:
  tenant.onCreate: { job: welcome }
  tenant.onDelete: { service: api, path: /gone, timeout: 5s }
  tenant.onDrain: { service: api, path: /drain }
  tenant.onExport: { service: api, path: /export }
  tenant.onImport: { service: api, path: /import, timeout: 10m }
  tenant.onRebuild: { job: welcome }
`;

test("parseTemplate() reads every field", () => {
  const parsed = parseTemplate(full, { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const data = { resources: {}, protect: false };
  const process = { env: {}, resources: {}, after: [] };
  expect(parsed.template).toEqual({
    name: "shop",
    version: "1.0.0",
    parameters: {},
    stages: [
      {
        name: "base",
        engine: "command",
        components: [{ name: "search", kind: "external", url: ["https://search:9200"], secret: "file:/run/search" }],
      },
      {
        name: "apps",
        engine: "local",
        components: [
          {
            name: "api",
            kind: "service",
            command: [["node"], ["my app.js"]],
            workdir: "../app",
            env: { N: ["1.10"], B: ["true"], T: ["text"], Y: ["yes"] },
            resources: {},
            after: ["cache", "queue"],
            replicas: 2,
            listens: true,
            health: { path: "/healthz", timeoutMs: 500, startWithinMs: 10_000 },
            stopGraceMs: 1_000,
          },
          { name: "cache", kind: "redis", maxMemoryMb: 32, persistence: "aof", ...data },
          {
            name: "db",
            kind: "postgres",
            version: 17,
            maxConnections: 20,
            resources: { memoryMb: 1024, cpus: 2 },
            protect: true,
            ids: {
              a: { kind: "uuid" },
              b: { kind: "composite" },
              c: { kind: "block", size: 1000 },
              d: { kind: "stride", of: 64 },
            },
            via: { order_lines: ["orders"] },
            fence: "off",
            reference: ["currencies", "public.vat"],
            ignored: ["migrations.done"],
          },
          {
            name: "migrate",
            kind: "job",
            image: ["shop:", { of: "release", field: "version" }],
            ...process,
            env: { URL: [{ of: "db", field: "migrationUrl" }] },
            timeoutMs: 300_000,
            run: "release",
          },
          { name: "queue", kind: "nats", jetstream: true, ...data },
          {
            name: "welcome",
            kind: "job",
            command: [["sh"], ["-c"], ["echo $HOME"]],
            ...process,
            timeoutMs: 60_000,
            run: "hook",
          },
        ],
      },
    ],
    ingress: { service: "api" },
    capacity: { tenants: 5, units: { rps: 1.5 } },
    tenancy: { model: "database" },
    hooks: {
      onCreate: { kind: "job", job: "welcome", timeoutMs: 30_000 },
      onDelete: { kind: "http", service: "api", path: "/gone", timeoutMs: 5_000 },
      onDrain: { kind: "http", service: "api", path: "/drain", timeoutMs: 30_000 },
      onExport: { kind: "http", service: "api", path: "/export", timeoutMs: 30_000 },
      onImport: { kind: "http", service: "api", path: "/import", timeoutMs: 600_000 },
      onRebuild: { kind: "job", job: "welcome", timeoutMs: 30_000 },
    },
  });
});

test("parseTemplate() makes one local stage called main of plain components, with the defaults", () => {
  const text = `${full.slice(0, full.indexOf("stages:"))}components:
  api: { kind: service, command: x, port: auto }
  db: { kind: postgres }
  cache: { kind: redis }
ingress: { service: api }
capacity: { tenants: 1 }
tenancy: { model: rows, column: tenant_id }
`;
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  expect(parsed).toMatchObject({
    ok: true,
    template: {
      stages: [
        {
          name: "main",
          engine: "local",
          components: [
            { name: "api", replicas: 1, listens: true, stopGraceMs: 10_000 },
            { name: "cache", maxMemoryMb: 64, persistence: "none", protect: false },
            { name: "db", version: 18, maxConnections: 50, protect: false, ids: {}, via: {} },
          ],
        },
      ],
      capacity: { tenants: 1, units: {} },
      hooks: {},
    },
  });
});
