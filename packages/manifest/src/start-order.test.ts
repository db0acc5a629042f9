import { cyclesOf, dependenciesOf, startNeeds, startOrder } from "@stampyard/domain";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseTemplate } from "./template.ts";

function template(components: string, rest = "") {
  const text = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: a, version: 1.0.0 }
${components}
ingress: { service: api }
capacity: { tenants: 1 }
tenancy: { model: schema }
${rest}`;
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.template;
}

test("startOrder() follows references and after", () => {
  const found = template(`components:
  web: { kind: service, command: x, env: { A: "\${api.url}" } }
  api: { kind: service, command: x, port: auto, env: { A: "\${db.url}" }, after: [queue] }
  db: { kind: postgres }
  queue: { kind: nats }
  last: { kind: job, command: x, after: [web] }`);
  expect(startOrder(found)).toEqual([["db", "queue"], ["api"], ["web"], ["last"]]);
});

test("startOrder() lets services wait for the migration of their database, without being told", () => {
  const found = template(`components:
  api: { kind: service, command: x, port: auto, env: { A: "\${db.url}" } }
  other: { kind: service, command: x }
  db: { kind: postgres }
  migrate: { kind: job, command: x, env: { A: "\${db.migrationUrl}" } }`);
  expect(startOrder(found)).toEqual([["db", "other"], ["migrate"], ["api"]]);
});

test("startOrder() does not wait for a migration that itself needs the service", () => {
  const found = template(`components:
  api: { kind: service, command: x, port: auto, env: { A: "\${db.url}" } }
  db: { kind: postgres }
  seed: { kind: job, command: x, env: { A: "\${db.migrationUrl} \${api.url}" } }`);
  expect(startOrder(found)).toEqual([["db"], ["api"], ["seed"]]);
});

test("startOrder() leaves out jobs that only hooks run, and starts stages in turn", () => {
  const found = template(
    `stages:
  - { name: data, engine: local, components: { db: { kind: postgres }, zip: { kind: nats } } }
  - name: apps
    engine: local
    components:
      api: { kind: service, command: x, port: auto, env: { A: "\${db.url}" } }
      alone: { kind: service, command: x }
      welcome: { kind: job, command: x, env: { A: "\${db.migrationUrl}" } }`,
    "hooks: { tenant.onCreate: { job: welcome } }\n",
  );
  expect(startOrder(found)).toEqual([
    ["db", "zip"],
    ["alone", "api"],
  ]);
  const needs = startNeeds(found);
  expect([...(needs.get("alone") ?? [])].sort()).toEqual(["db", "zip"]);
  expect(needs.has("welcome")).toBe(false);
});

test("startOrder() names a circle that no parser has seen", () => {
  const found = template("components: { api: { kind: service, command: x, port: auto } }");
  const stages = found.stages.map((stage) => ({
    ...stage,
    components: stage.components.map((component) => ({ ...component, after: ["api"] })),
  }));
  for (const order of [startOrder, startNeeds]) {
    expect(() => order({ ...found, stages })).toThrow("Components wait in a circle: api → api");
  }
});

test("cyclesOf() finds a circle exactly when there is no order", () => {
  const graph = fc.array(fc.array(fc.nat({ max: 7 }), { maxLength: 3 }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(graph, (edges) => {
      const nodes = edges.map((to, index) => ({
        name: `n${index}`,
        kind: "service" as const,
        references: [],
        after: to.map((target) => `n${target}`),
        onlyHook: false,
      }));
      const needs = dependenciesOf(nodes);
      const cycles = cyclesOf(needs);
      for (const cycle of cycles) {
        expect(cycle.at(-1)).toBe(cycle[0]);
        for (const [index, name] of cycle.slice(0, -1).entries()) expect(needs.get(name)).toContain(cycle[index + 1]);
      }
      const left = new Map([...needs].map(([name, needed]) => [name, new Set(needed)]));
      for (let ready = "" as string | undefined; ready !== undefined; ) {
        ready = [...left].find(([, needed]) => needed.size === 0)?.[0];
        if (ready === undefined) break;
        left.delete(ready);
        for (const needed of left.values()) needed.delete(ready);
      }
      expect(cycles.length > 0).toBe(left.size > 0);
    }),
  );
});
