import { expect, test } from "vitest";
import { parseTemplate } from "./template.ts";
import { badFile, goodTemplate as good, type Row } from "./testing/bad-file.ts";

const api = "  api: { kind: service, command: node api.js, port: auto }";
const apiWith = (more: string) => `  api: { kind: service, command: node api.js, port: auto, ${more} }`;
const db = "{ kind: postgres }";
const search = '"https://search:9200"';
const tenancy = "{ model: rows, column: tenant_id }";
const posix = "a text, a number, true or false";
const nameRule = "1 to 40 lower-case letters";

const rows: readonly Row[] = [
  ["no kind", "kind: StampTemplate\n", "", "Missing field kind", "Add kind: StampTemplate"],
  ["other kind", "kind: StampTemplate", "kind: ‸Fleet", 'File is a "Fleet", not a StampTemplate', "fleet.yaml"],
  [
    "other apiVersion",
    "stampyard.dev/v1alpha1",
    "‸stampyard.dev/v1",
    'Invalid value "stampyard.dev/v1" of apiVersion',
    "Write stampyard.dev/v1alpha1",
  ],
  [
    "unknown field",
    "ingress:",
    "‸ingres: { service: api }\ningress:",
    "Unknown field ingres",
    'Did you mean "ingress"?',
  ],
  ["version as a number", "version: 1.0.0", "version: ‸1.10", "Invalid value 1.10 of metadata.version", "in quotes"],
  ["version with a slash", "version: 1.0.0", "version: ‸1/0", 'Invalid value "1/0" of metadata.version', "1.4.0"],
  [
    "name with a shell sign",
    "name: shop",
    'name: ‸"shop;rm -rf ~"',
    'Invalid value "shop;rm -rf ~" of metadata.name',
    nameRule,
  ],
  [
    "name with SQL",
    "name: shop",
    `name: ‸"a'; drop table x"`,
    `Invalid value "a'; drop table x" of metadata.name`,
    nameRule,
  ],
  ["component name with a path", "  queue:", '  ‸"../queue":', 'Invalid name "../queue" in components', nameRule],
  ["component name in capitals", "  queue:", "  ‸Queue:", 'Invalid name "Queue" in components', nameRule],
  [
    "component name too long",
    "  queue:",
    `  ‸${"q".repeat(41)}:`,
    `Invalid name "${"q".repeat(41)}" in components`,
    nameRule,
  ],
  [
    "unknown component kind",
    db,
    "{ kind: ‸postgress }",
    'Invalid value "postgress" of components.db.kind',
    'Did you mean "postgres"?',
  ],
  ["no component kind", db, "{ version: 18 }", "Missing field components.db.kind", "service, job, postgres"],
  ["component is a text", db, "‸postgres", 'Invalid value "postgres" of components.db', "a map with kind"],
  ["component is empty", db, "‸", "Missing value of components.db", "a map with kind"],
  [
    "field of another kind",
    db,
    "{ kind: postgres, ‸replicas: 2 }",
    "Unknown field components.db.replicas",
    "version, maxConnections",
  ],
  [
    "yes is no boolean",
    db,
    "{ kind: postgres, protect: ‸yes }",
    'Invalid value "yes" of components.db.protect',
    "other words are texts",
  ],
  [
    "number in quotes",
    api,
    apiWith('replicas: ‸"3"'),
    'Invalid value "3" of components.api.replicas',
    "from 1 to 16, without quotes",
  ],
  ["no replica", api, apiWith("replicas: ‸0"), "Invalid value 0 of components.api.replicas", "from 1 to 16"],
  ["half a replica", api, apiWith("replicas: ‸1.5"), "Invalid value 1.5 of components.api.replicas", "a whole number"],
  [
    "infinite tenants",
    "{ tenants: 10 }",
    "{ tenants: ‸.inf }",
    "Invalid value .inf of capacity.tenants",
    "from 1 to 1000000",
  ],
  ["no tenants", "{ tenants: 10 }", "{ tenants: ‸0 }", "Invalid value 0 of capacity.tenants", "from 1 to 1000000"],
  [
    "negative unit",
    "{ tenants: 10 }",
    "{ tenants: 10, units: { rps: ‸-1 } }",
    "Invalid value -1 of capacity.units.rps",
    "above 0",
  ],
  [
    "bad unit name",
    "{ tenants: 10 }",
    "{ tenants: 10, units: { ‸RPS: 1 } }",
    'Invalid name "RPS" in capacity.units',
    nameRule,
  ],
  ["port number", "port: auto", "port: ‸8080", "Invalid value 8080 of components.api.port", "the word auto"],
  [
    "duration with a space",
    api,
    apiWith("stopGrace: ‸5 s"),
    'Invalid value "5 s" of components.api.stopGrace',
    "such as 10s",
  ],
  [
    "duration without unit",
    api,
    apiWith("stopGrace: ‸5"),
    "Invalid value 5 of components.api.stopGrace",
    "such as 10s",
  ],
  ["duration too long", api, apiWith("stopGrace: ‸9h"), 'Invalid value "9h" of components.api.stopGrace', "0s to 10m"],
  [
    "size in another unit",
    "{ kind: redis }",
    "{ kind: redis, maxMemory: ‸64K }",
    'Invalid value "64K" of components.cache.maxMemory',
    "64Mi",
  ],
  [
    "health without path",
    api,
    apiWith("‸health: { timeout: 1s }"),
    "Missing field components.api.health.path",
    "such as /healthz",
  ],
  [
    "health path",
    api,
    apiWith("health: { path: ‸healthz }"),
    'Invalid value "healthz" of components.api.health.path',
    "/healthz",
  ],
  [
    "absolute workdir",
    api,
    apiWith("workdir: ‸/srv"),
    'Invalid value "/srv" of components.api.workdir',
    "relative to this file",
  ],
  [
    "environment name",
    api,
    apiWith("env: { ‸1A: x }"),
    'Invalid name "1A" in components.api.env',
    "not starting with a digit",
  ],
  [
    "environment value is a list",
    api,
    apiWith("env: { A: ‸[x] }"),
    "Invalid value (a list) of components.api.env.A",
    posix,
  ],
  ["environment value is empty", api, apiWith("env: { A: ‸~ }"), "Missing value of components.api.env.A", posix],
  [
    "literal secret",
    search,
    `${search}, secret: ‸hunter2`,
    "Invalid value (a text) of components.search.secret",
    "env:NAME",
  ],
  [
    "relative secret file",
    search,
    `${search}, secret: ‸file:x`,
    "Invalid value (a text) of components.search.secret",
    "/absolute/path",
  ],
  [
    "id policy",
    db,
    "{ kind: postgres, ids: { a: ‸serial } }",
    'Invalid value "serial" of components.db.ids.a',
    "{block: 1000000}",
  ],
  [
    "fence mode",
    db,
    "{ kind: postgres, fence: ‸on }",
    'Invalid value "on" of components.db.fence',
    "off, report, enforce",
  ],
  [
    "table with SQL",
    db,
    '{ kind: postgres, ignored: [jobs, ‸"x; drop"] }',
    'Invalid value "x; drop" of components.db.ignored[1]',
    "table name",
  ],
  [
    "reference as a map",
    db,
    "{ kind: postgres, reference: ‸{ currencies: yes } }",
    "Invalid value (a map) of components.db.reference",
    "a list of tables",
  ],
  ["tenancy model", tenancy, "{ model: ‸row }", 'Invalid value "row" of tenancy.model', 'Did you mean "rows"?'],
  [
    "tenancy without column",
    "tenancy: { model: rows, column: tenant_id }",
    "‸tenancy: { model: rows }",
    "Missing field tenancy.column",
    "tenant_id",
  ],
  [
    "tenancy column with SQL",
    tenancy,
    '{ model: rows, column: ‸"a; drop" }',
    'Invalid value "a; drop" of tenancy.column',
    "column name",
  ],
  ["no capacity", "capacity: { tenants: 10 }\n", "", "Missing field capacity", "Add capacity"],
  [
    "parameter type",
    "type: string",
    "type: ‸text",
    'Invalid value "text" of parameters.logLevel.type',
    "string, number, boolean",
  ],
];

test.each(rows)("parseTemplate() names the place of: %s", (_, from, to, message, mend) => {
  const { text, place } = badFile(good, from, to);
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
  expect(parsed.problems[0]?.message).not.toMatch(/\.$/);
  expect(parsed.problems[0]?.mend).toContain(mend);
  if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
});

test("parseTemplate() takes the good file for good", () => {
  expect(parseTemplate(good, { file: "stamp.yaml" })).toMatchObject({ ok: true });
});

test("parseTemplate() says everything at once, in file order, and each thing once", () => {
  const text = good
    .replace("version: 1.0.0", "version: 1.0")
    .replace(db, "{ kind: postgress }")
    .replace("port: auto", "prot: auto")
    .replace("tenants: 10", "tenants: many");
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.map(({ line, path }) => `${line} ${path}`)).toEqual([
    "3 metadata.version",
    "7 components.db.kind",
    "12 components.api.prot",
    "14 ingress.service",
    "15 capacity.tenants",
  ]);
});
