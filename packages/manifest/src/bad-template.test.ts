import { describe, expect, test } from "vitest";
import { formatProblems } from "./format-problems.ts";
import { parseTemplate } from "./template.ts";

const good = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
parameters:
  logLevel: { type: string, default: info }
components:
  db: { kind: postgres }
  cache: { kind: redis }
  queue: { kind: nats }
  search: { kind: external, url: "https://search:9200" }
  migrate: { kind: job, command: node migrate.js }
  api: { kind: service, command: node api.js, port: auto }
  worker: { kind: service, command: node worker.js }
ingress: { service: api }
capacity: { tenants: 10 }
tenancy: { model: rows, column: tenant_id }
`;

/** Name; text to replace in the good file; its replacement, with ‸ where the caret must stand; message; part of the mend. */
type Row = readonly [name: string, from: string, to: string, message: string, mend: string];

const api = "  api: { kind: service, command: node api.js, port: auto }";
const apiWith = (more: string) => `  api: { kind: service, command: node api.js, port: auto, ${more} }`;
const worker = "  worker: { kind: service, command: node worker.js }";
const workerWith = (more: string) => `  worker: { kind: service, command: node worker.js, ${more} }`;
const migrate = "  migrate: { kind: job, command: node migrate.js }";
const db = "{ kind: postgres }";
const search = '"https://search:9200"';
const tenancy = "{ model: rows, column: tenant_id }";
const end = "column: tenant_id }\n";
const hooks = (text: string) => `${end}hooks: { ${text} }\n`;
const posix = "a text, a number, true or false";
const nameRule = "1 to 40 lower-case letters";

const yaml: readonly Row[] = [
  ["empty file", good, "‸", "File is empty", "apiVersion: stampyard.dev/v1alpha1"],
  ["only comments", good, "‸# nothing\n", "File is empty", "apiVersion"],
  ["list at the root", good, "‸- a\n- b\n", "File is not a map of fields", "apiVersion"],
  ["text at the root", good, "‸hello\n", "File is not a map of fields", "apiVersion"],
  ["second document", end, `${end}---\n‸kind: Fleet\n`, "File holds several documents", "Keep one document"],
  [
    "double field",
    "kind: StampTemplate",
    "kind: StampTemplate\n‸kind: StampTemplate",
    "Field kind stands twice",
    "one of the two",
  ],
  [
    "double component",
    worker,
    `${worker}\n  ‸api: { kind: redis }`,
    "Field components.api stands twice",
    "one of the two",
  ],
  ["double environment name", api, apiWith("env: { A: a, ‸A: b }"), "Field components.api.env.A stands twice", "one"],
  ["anchor", db, "‸&d { kind: postgres }", "Anchor is not allowed", "Remove the &anchor"],
  ["merge key", db, "{ kind: postgres, ‸<<: { version: 18 } }", "Merge key << is not allowed", "Write the fields out"],
  ["tag", "{ tenants: 10 }", "{ tenants: ‸!!int 10 }", "Tag is not allowed", "Remove the !tag"],
  ["own tag", "version: 1.0.0", "version: ‸!x 1.0.0", "Tag is not allowed", "Remove the !tag"],
  [
    "prototype",
    db,
    "{ kind: postgres, ‸__proto__: { x: 1 } }",
    'Field name "__proto__" is not allowed',
    "another name",
  ],
  [
    "constructor",
    worker,
    `${worker}\n  ‸constructor: { kind: redis }`,
    'Field name "constructor" is not allowed',
    "another",
  ],
  ["map as a key", db, "{ kind: postgres, ? ‸{ a: b } : c }", "Field name is a list or a map", "plain word"],
  ["directive", "apiVersion:", "‸%YAML 1.1\n---\napiVersion:", "YAML directives are not allowed", "starts with %"],
  ["tab as indentation", "parameters:\n", "parameters:\n‸\tx: 1\n", "Tab used as indentation", "spaces"],
  ["two colons", "version: 1.0.0 }", "version: 1.0.0 }\nnote: ‸a: b", "Two colons on one line", "quotes"],
  ["NUL", "node api.js", "node‸\0 api.js", "Character U+0000 is not allowed", "Delete"],
  ["escape code of a terminal", "node api.js", "node ‸\u001b[31m api.js", "Character U+001B is not allowed", "Delete"],
  ["turned reading direction", "node api.js", "node ‸\u202eapi.js", "Character U+202E is not allowed", "Delete"],
  ["lone surrogate", "node api.js", "node ‸\ud800 api.js", "Character U+D800 is not allowed", "Delete"],
  [
    "escaped NUL",
    "node api.js",
    '‸"node \\0 api.js"',
    "Control character in the value of components.api.command",
    "\\0",
  ],
];

const shape: readonly Row[] = [
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

const meaning: readonly Row[] = [
  [
    "unknown component",
    api,
    apiWith('env: { A: "x ‸${cahce.url}" }'),
    "Unknown component in ${cahce.url}",
    'Did you mean "cache"?',
  ],
  [
    "second reference of a text",
    api,
    apiWith('env: { A: "${cache.url} ‸${cache.uri}" }'),
    "Unknown field of redis cache in ${cache.uri}",
    '"url"',
  ],
  [
    "after an escape",
    api,
    apiWith('env: { A: "$${db.x} ‸${db.x}" }'),
    "Unknown field of postgres db in ${db.x}",
    "url, migrationUrl",
  ],
  [
    "mover role",
    api,
    apiWith('env: { A: "‸${db.moverUrl}" }'),
    "Unknown field of postgres db in ${db.moverUrl}",
    "migrationUrl",
  ],
  [
    "malformed reference",
    api,
    apiWith('env: { A: "a ‸${db" }'),
    "Malformed reference in components.api.env.A",
    "$${ for a literal",
  ],
  [
    "unknown parameter",
    api,
    apiWith('env: { A: "‸${params.loglevel}" }'),
    "Unknown parameter in ${params.loglevel}",
    '"logLevel"',
  ],
  [
    "unknown field of the stamp",
    api,
    apiWith('env: { A: "‸${stamp.names}" }'),
    "Unknown field of stamp in ${stamp.names}",
    '"name"',
  ],
  [
    "owner's URL in a service (D4)",
    api,
    apiWith('env: { A: "‸${db.migrationUrl}" }'),
    "Service api uses the owner's ${db.migrationUrl}",
    "Use ${db.url}",
  ],
  [
    "secret in a command (I33)",
    "node api.js",
    '"node api.js ‸${db.url}"',
    "Secret ${db.url} stands in the command of api",
    "Give it in env",
  ],
  [
    "job offers nothing",
    api,
    apiWith('env: { A: "‸${migrate.url}" }'),
    "Reference ${migrate.url} names a job, which offers nothing",
    "after",
  ],
  [
    "silent service",
    api,
    apiWith('env: { A: "‸${worker.url}" }'),
    "Service worker in ${worker.url} does not listen",
    "Add port: auto to worker",
  ],
  [
    "own port without port",
    worker,
    workerWith('env: { A: "‸${self.port}" }'),
    "Service worker has no port for ${self.port}",
    "port: auto",
  ],
  [
    "self in a job",
    migrate,
    '  migrate: { kind: job, command: x, env: { A: "‸${self.replica}" } }',
    "Reference ${self.replica} stands in a job",
    "services only",
  ],
  [
    "external needs the database",
    search,
    '"https://‸${db.url}"',
    "Reference ${db.url} is not known yet in the url of search",
    "${params.*}",
  ],
  [
    "external with a password",
    search,
    '‸"https://u:p4ss@search"',
    'URL of "search" holds a password',
    "secret: env:NAME",
  ],
  [
    "itself",
    api,
    '  ‸api: { kind: service, command: x, port: auto, env: { A: "${api.url}" } }',
    "Components wait in a circle: api → api",
    "self.port",
  ],
  [
    "circle",
    `${api}\n${worker}`,
    `  ‸${apiWith("after: [worker]").trim()}\n${workerWith('env: { A: "${api.url}" }')}`,
    "Components wait in a circle: api → worker → api",
    "Remove one",
  ],
  ["reserved name", "  queue:", "  ‸self:", "Component name self is reserved", "another name"],
  ["unknown after", api, apiWith("after: [‸chache]"), 'Unknown component "chache" in after', 'Did you mean "cache"?'],
  [
    "shell in a command",
    "node api.js",
    "‸node a.js && node b.js",
    "Command uses a shell sign, but no shell runs it: api",
    "sh",
  ],
  ["open quote in a command", "node api.js", "‸node 'a.js", "Command has an open quote: api", "Close the quote"],
  [
    "neither command nor image",
    worker,
    "  ‸worker: { kind: service }",
    'Component "worker" has neither command nor image',
    "Add command",
  ],
  [
    "health without port",
    worker,
    workerWith("‸health: { path: / }"),
    'Service "worker" has a health path but no port',
    "port: auto",
  ],
  ["PORT is taken", api, apiWith("env: { ‸PORT: 80 }"), "Environment name PORT is Stampyard's own", "Remove it"],
  [
    "our prefix is taken",
    api,
    apiWith("env: { ‸STAMPYARD_X: a }"),
    "Environment name STAMPYARD_X is Stampyard's own",
    "without",
  ],
  [
    "default of another type",
    "default: info",
    "default: ‸3",
    "Default of parameter logLevel is a number, not a string",
    "quotes",
  ],
  [
    "ingress unknown",
    "{ service: api }",
    "{ service: ‸apii }",
    'Ingress names unknown service "apii"',
    'Did you mean "api"?',
  ],
  [
    "ingress is no service",
    "{ service: api }",
    "{ service: ‸db }",
    "Ingress names db, which is a postgres",
    "port: auto",
  ],
  [
    "ingress does not listen",
    "{ service: api }",
    "{ service: ‸worker }",
    "Ingress service worker does not listen",
    "port: auto",
  ],
  [
    "hook names an unknown job",
    end,
    hooks("tenant.onCreate: { job: ‸migrat }"),
    'Hook tenant.onCreate names unknown job "migrat"',
    '"migrate"',
  ],
  [
    "hook names a service as job",
    end,
    hooks("tenant.onCreate: { job: ‸api }"),
    "Hook tenant.onCreate names api, which is a service",
    "a job",
  ],
  [
    "hook without path",
    end,
    hooks("‸tenant.onDelete: { service: api }"),
    "Hook tenant.onDelete needs either service and path, or job",
    "Add path",
  ],
  [
    "hook with both",
    end,
    hooks("‸tenant.onDelete: { service: api, path: /x, job: migrate }"),
    "Hook tenant.onDelete needs either service and path, or job",
    "one",
  ],
  [
    "hook of another name",
    end,
    hooks("‸tenant.onCreat: { service: api, path: /x }"),
    "Unknown field hooks.tenant.onCreat",
    '"tenant.onCreate"',
  ],
  [
    "after a job of a hook",
    worker + good.slice(good.indexOf("\ningress")),
    `${workerWith("after: [‸migrate]")}${good.slice(good.indexOf("\ningress"))}hooks: { tenant.onCreate: { job: migrate } }\n`,
    'Job "migrate" in after runs for a hook only',
    "job of its own",
  ],
  [
    "components and stages",
    end,
    `${end}stages: [{ name: a, engine: local, components: { x: { kind: nats } } }]\n`,
    "Template has both components and stages",
    "into a stage",
  ],
];

const rows = [...yaml, ...shape, ...meaning];

describe("parseTemplate() names the place of every fault", () => {
  test("the good file is good, and the table is long enough", () => {
    expect(parseTemplate(good, { file: "stamp.yaml" })).toMatchObject({ ok: true });
    expect(rows.length).toBeGreaterThanOrEqual(60);
  });

  test.each(rows)("%s", (name, from, to, message, mend) => {
    expect(good.split(from), `${name}: the text to replace`).toHaveLength(2);
    const marked = good.replace(from, () => to);
    const text = marked.replace("‸", "");
    const parsed = parseTemplate(text, { file: "stamp.yaml" });
    if (parsed.ok) throw new Error("It was taken for good");
    expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
    expect(parsed.problems[0]?.mend).toContain(mend);
    expect(parsed.problems[0]?.message).not.toMatch(/\.$/);
    if (!marked.includes("‸")) return;
    const before = marked.slice(0, marked.indexOf("‸")).split("\n");
    const place = { line: parsed.problems[0]?.line, column: parsed.problems[0]?.column };
    expect(place).toEqual({ line: before.length, column: (before.at(-1) ?? "").length + 1 });
  });
});

test("parseTemplate() refuses forward references and double names across stages", () => {
  const text = good
    .slice(0, good.indexOf("components:"))
    .concat(
      "stages:\n",
      "  - name: data\n    engine: local\n    components:\n",
      '      db: { kind: postgres }\n      early: { kind: job, command: x, after: [api], env: { A: "${api.url}" } }\n',
      "  - name: data\n    engine: local\n    components:\n",
      '      db: { kind: redis }\n      api: { kind: service, command: x, port: auto, env: { A: "${db.url}" } }\n',
      good.slice(good.indexOf("ingress:")),
    );
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.map(({ line, column, message }) => `${line}:${column} ${message}`)).toEqual([
    '11:47 Component "api" in after is of a later stage',
    "11:64 Reference ${api.url} points to a later stage",
    '12:11 Stage "data" stands twice',
    '15:7 Component "db" stands in two stages',
  ]);
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

test("parseTemplate() never expands aliases: a bomb is a list of problems", () => {
  const levels = Array.from({ length: 9 }, (_, i) => `b${i + 1}: &b${i + 1} [${Array(9).fill(`*b${i}`).join(", ")}]`);
  const parsed = parseTemplate(`${good}b0: &b0 [x]\n${levels.join("\n")}\n`, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.some((problem) => problem.message === "Alias is not allowed" && problem.line === 18)).toBe(
    true,
  );
  expect(parsed.problems.length).toBeLessThanOrEqual(100);
});

test("parseTemplate() refuses what is larger than any file written by hand", () => {
  const text = `${good}# ${"x".repeat(1024 * 1024)}\n`;
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems).toMatchObject([{ line: 1, column: 1, message: "File is larger than 256 KiB" }]);
  expect(formatProblems(parsed.problems, text).length).toBeLessThan(300);
});
