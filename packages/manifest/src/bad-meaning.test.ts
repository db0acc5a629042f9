import { expect, test } from "vitest";
import { parseTemplate } from "./template.ts";
import { badFile, goodTemplate as good, type Row } from "./testing/bad-file.ts";

const api = "  api: { kind: service, command: node api.js, port: auto }";
const apiWith = (more: string) => `  api: { kind: service, command: node api.js, port: auto, ${more} }`;
const worker = "  worker: { kind: service, command: node worker.js }";
const workerWith = (more: string) => `  worker: { kind: service, command: node worker.js, ${more} }`;
const migrate = "  migrate: { kind: job, command: node migrate.js }";
const search = '"https://search:9200"';
const end = "column: tenant_id }\n";
const hooks = (text: string) => `${end}hooks: { ${text} }\n`;

const rows: readonly Row[] = [
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
    "table of two kinds",
    "{ kind: postgres }",
    "{ kind: postgres, reference: [jobs], ignored: [a, ‸public.jobs] }",
    'Table "public.jobs" stands in reference and in ignored',
    "once",
  ],
  [
    "table twice",
    "{ kind: postgres }",
    "{ kind: postgres, ignored: [jobs, ‸jobs] }",
    'Table "jobs" stands twice in ignored',
    "once",
  ],
  [
    "table that moves and does not",
    "{ kind: postgres }",
    "{ kind: postgres, via: { lines: [orders] }, reference: [‸lines] }",
    'Table "lines" stands in via and in reference',
    "once",
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
    "hook of a service that is not the ingress",
    worker + good.slice(good.indexOf("\ningress")),
    `${workerWith("port: auto")}${good.slice(good.indexOf("\ningress"))}hooks: { tenant.onCreate: { service: ‸worker, path: /x } }\n`,
    "Hook tenant.onCreate names service worker, and only the ingress service api can be called",
    "Name api",
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

test.each(rows)("parseTemplate() names the place of: %s", (_, from, to, message, mend) => {
  const { text, place } = badFile(good, from, to);
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
  expect(parsed.problems[0]?.message).not.toMatch(/\.$/);
  expect(parsed.problems[0]?.mend).toContain(mend);
  if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
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

test("parseTemplate() refuses a fence where no column tells tenants apart", () => {
  const text = good
    .replace("db: { kind: postgres }", "db: { kind: postgres, fence: enforce }")
    .replace("{ model: rows, column: tenant_id }", "{ model: schema }");
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  const [{ line, column, message } = { line: 0, column: 0, message: "" }] = parsed.problems;
  expect(`${line}:${column} ${message}`).toBe("7:32 A fence needs tenancy.model rows");
});
