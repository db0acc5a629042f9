import {
  canonicalJson,
  componentsOf,
  type Json,
  type StampIdentity,
  startOrder,
  type Template,
} from "@stampyard/domain";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { releaseDigest, renderStamp } from "./render.ts";
import { parseTemplate } from "./template.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

function read(text: string): Template {
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.template;
}

const golden = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.2.0 }
parameters:
  level: { type: string, default: info }
  size: { type: number }
  debug: { type: boolean, default: false }
components:
  db: { kind: postgres, ids: { a_seq: { block: 1000000 }, b_seq: uuid }, via: { lines: [orders] }, protect: true }
  cache: { kind: redis, maxMemory: 1Gi }
  search: { kind: external, url: "https://\${params.level}.search/\${stamp.region}", secret: env:SEARCH_KEY }
  api:
    kind: service
    command: node api.js --release=\${release.digest} --port=\${self.port}
    port: auto
    health: { path: /healthz }
    resources: { memory: 256MB, cpus: 0.5 }
    env:
      DATABASE_URL: \${db.url}
      WHO: \${stamp.name}/\${stamp.pool}/\${stamp.region}
      SETTINGS: \${params.level},\${params.size},\${params.debug}
      VERSION: \${release.version}
      KEYS: \${route.keys}
      RATE: 1.10
      LITERAL: $\${db.url}
ingress: { service: api }
capacity: { tenants: 20, units: { rps: 200 } }
tenancy: { model: rows, column: tenant_id }
hooks: { tenant.onCreate: { service: api, path: /created } }
`;

const identity: StampIdentity = { name: "shared-1", pool: "shared", region: "eu" };

test("renderStamp() resolves stamp, params and release, and leaves what only the engine knows", () => {
  const stamp = renderStamp(read(golden), identity, { size: 3 }, sha256);
  const [api] = componentsOf(stamp).filter((component) => component.kind === "service");
  expect(api?.command).toEqual([
    ["node"],
    ["api.js"],
    [`--release=${stamp.releaseDigest}`],
    ["--port=", { of: "self", field: "port" }],
  ]);
  expect(api?.env).toEqual({
    DATABASE_URL: [{ of: "db", field: "url" }],
    WHO: ["shared-1/shared/eu"],
    SETTINGS: ["info,3,false"],
    VERSION: ["1.2.0"],
    KEYS: [{ of: "route", field: "keys" }],
    RATE: ["1.10"],
    LITERAL: ["${db.url}"],
  });
  expect(componentsOf(stamp).find((component) => component.kind === "external")?.url).toEqual([
    "https://info.search/eu",
  ]);
});

test("releaseDigest() of one text never changes: it is written in stores and on stamps", () => {
  const template = read(golden);
  expect(releaseDigest(template, sha256)).toBe(
    "sha256:ccb5decd7346f84c6b9dc2a2ac19770c9f9fe244edc3a376cec55b2696b0e42b",
  );
  expect(renderStamp(template, identity, { size: 3 }, sha256).stampDigest).toBe(
    "sha256:ec9b07fa66d8bb17945ff6afd37857f9b302621bf3c5a6887285fabbaf24f0ed",
  );
});

test("releaseDigest() does not see comments, layout, order of keys, or another way to write a quantity", () => {
  const blocks = golden.split(/^(?=\w)/m);
  const reordered = [...blocks].reverse().join("");
  const components = golden.replace(/( {2}db: .*\n)( {2}cache: .*\n)/, "$2  # moved\n$1");
  const quantities = golden.replace("maxMemory: 1Gi", 'maxMemory: "1024Mi"').replace("256MB", "256Mi");
  const defaults = golden
    .replace("{ path: /healthz }", "{ timeout: 2000ms, path: '/healthz', startWithin: 1m }")
    .replace("{ kind: postgres,", "{ kind: postgres, version: 18,")
    .replace("node api.js --release=${release.digest}", "  node   'api.js' --release=${release.digest}");
  const staged = golden
    .replace("components:", "stages:\n- name: main\n  engine: local\n  components:")
    .replace(/^( {2}(?:db|cache|search|api):| {4}\w| {6}\w)/gm, "    $1")
    .replace("\n      components:", "\n  components:");
  const digest = releaseDigest(read(golden), sha256);
  for (const same of [
    reordered,
    components,
    quantities,
    defaults,
    staged,
    golden.replaceAll("\n", "\r\n"),
    `\ufeff${golden}`,
  ]) {
    expect(releaseDigest(read(same), sha256)).toBe(digest);
  }
  for (const [from, to] of [
    ["1.2.0", "1.2.1"],
    ["node api.js", "node app.js"],
    ["RATE: 1.10", "RATE: 1.1"],
    ["tenants: 20", "tenants: 21"],
    ["protect: true", "protect: false"],
  ] as const) {
    expect(releaseDigest(read(golden.replace(from, to)), sha256)).not.toBe(digest);
  }
});

const names = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const identities = fc.record({ name: names, pool: names, region: names });
const values = fc.record({
  level: fc.string(),
  size: fc.double({ noNaN: true, noDefaultInfinity: true }),
  debug: fc.boolean(),
});

test("renderStamp() gives two stamps of one release that differ in identity and parameters only", () => {
  const template = read(golden);
  fc.assert(
    fc.property(identities, identities, values, values, (a, b, forA, forB) => {
      const one = renderStamp(template, a, forA, sha256);
      const other = renderStamp(template, b, forB, sha256);
      expect(one.releaseDigest).toBe(other.releaseDigest);
      // The same identity and values make the same stamp, byte for byte; so nothing else went in.
      const again = renderStamp(template, a, forA, sha256);
      expect(canonicalJson(again as unknown as Json)).toBe(canonicalJson(one as unknown as Json));
      const asOther = renderStamp(template, b, forB, sha256);
      expect(asOther.stampDigest).toBe(other.stampDigest);
      const same =
        canonicalJson({ a, forA } as unknown as Json) === canonicalJson({ a: b, forA: forB } as unknown as Json);
      expect(one.stampDigest === other.stampDigest).toBe(same);
      // Outside of texts that name identity or parameters, the two are equal.
      expect(withoutOwn(one)).toEqual(withoutOwn(other));
    }),
    { numRuns: 200 },
  );
});

function withoutOwn(stamp: ReturnType<typeof renderStamp>): unknown {
  const { identity: _, stampDigest: __, ...rest } = stamp;
  const own = ["WHO", "SETTINGS"];
  return {
    ...rest,
    stages: rest.stages.map((stage) => ({
      ...stage,
      components: stage.components.map((component) => {
        if (component.kind === "external") return { ...component, url: "own" };
        if (component.kind !== "service") return component;
        return {
          ...component,
          env: Object.fromEntries(Object.entries(component.env).filter(([name]) => !own.includes(name))),
        };
      }),
    })),
  };
}

test("renderStamp() never reads a reference out of a parameter", () => {
  const stamp = renderStamp(read(golden), identity, { size: 1, level: "${db.migrationUrl}" }, sha256);
  const api = componentsOf(stamp).find((component) => component.kind === "service");
  expect(api?.env["SETTINGS"]).toEqual(["${db.migrationUrl},1,false"]);
});

test("renderStamp() names every wrong parameter at once, and no value", () => {
  const wrong = { level: 3, lvl: "hunter2", debug: "hunter2" };
  const render = () => renderStamp(read(golden), identity, wrong, sha256);
  expect(render).toThrow(
    'Cannot render stamp "shared-1": Parameter level is not a string; Unknown parameter lvl; ' +
      "Parameter debug is not a boolean; Missing parameter size",
  );
  try {
    render();
  } catch (error) {
    expect(error).toMatchObject({ code: "INVALID_MANIFEST", problems: { length: 4 } });
    expect(JSON.stringify(error)).not.toContain("hunter2");
  }
});

test("the files of the notes example are right, and start in the order that they should", () => {
  const at = (name: string) => readFileSync(new URL(`../../../examples/notes/${name}`, import.meta.url), "utf8");
  const template = read(at("stamp.yaml"));
  const fleet = parseFleet(at("fleet.yaml"), { file: "fleet.yaml", template });
  expect(startOrder(template)).toEqual([["cache", "db", "queue"], ["migrate"], ["api", "worker"]]);
  expect(fleet).toMatchObject({ ok: true, fleet: { pools: [{ name: "shared", stamps: { min: 3, max: 6 } }] } });
  const stamp = renderStamp(template, identity, {}, sha256);
  expect(startOrder(stamp)).toEqual(startOrder(template));
});
