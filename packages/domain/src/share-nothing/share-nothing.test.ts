import { describe, expect, test } from "vitest";
import type { Component, Text } from "../template.ts";
import { addressesIn } from "./addresses.ts";
import type { ResourceFact } from "./facts.ts";
import { findSharing } from "./find-sharing.ts";
import { factsOfRendering } from "./rendered-facts.ts";

const fingerprint = (secret: string) => `#${[...secret].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) | 0, 7)}`;

function service(env: Readonly<Record<string, Text>>, command: readonly Text[] = [["node"]]): Component {
  const rest = { resources: {}, after: [], replicas: 1, listens: true, stopGraceMs: 1_000 };
  return { kind: "service", name: "api", command, env, ...rest };
}

interface Wanted {
  readonly components?: readonly Component[];
  readonly parameters?: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly routeKeys?: string;
  readonly facts?: readonly ResourceFact[];
}

function stamp(name: string, wanted: Wanted = {}) {
  const { components = [], parameters = {}, routeKeys = `k:${name}-route` } = wanted;
  const { secrets = { "cache.password": `${name}-redis` } } = wanted;
  const rendered = {
    identity: { name, pool: "main", region: "eu" },
    template: "notes",
    version: "1",
    releaseDigest: "sha256:r",
    stampDigest: "sha256:s",
    stages: [{ name: "main", engine: "local", components }],
    ingress: { service: "api" },
    capacity: { tenants: 1, units: {} },
    tenancy: { model: "rows", column: "tenant_id" },
    hooks: {},
  } as const;
  const facts = factsOfRendering({ rendered, parameters, secrets, routeKeys }, fingerprint);
  return { stamp: name, facts: [...facts, ...(wanted.facts ?? [])], unseen: [] };
}

const found = (...stamps: ReturnType<typeof stamp>[]) =>
  findSharing(stamps).findings.map(({ verdict, kind, stamps: names, what }) => `${verdict} ${kind} ${names} ${what}`);

describe("addressesIn()", () => {
  test.each<[string, string, readonly string[]]>([
    ["X", "postgres://u:p@DB.corp.example/app", ["database db.corp.example:5432"]],
    ["X", "postgresql://u@db.corp:6432/app?sslmode=require", ["database db.corp:6432"]],
    ["X", "postgresql://u@localhost/app?host=/run/s/db", ["database /run/s/db"]],
    ["X", "mysql+ssl://db.corp", ["database db.corp:3306"]],
    ["X", "rediss://:secret@cache.corp/0", ["cache cache.corp:6379"]],
    ["X", "unix:///run/s/redis.sock?password=x", ["cache /run/s/redis.sock"]],
    ["X", "nats://a:1,nats://b:2", ["queue a:1", "queue b:2"]],
    [
      "X",
      "https://api.stripe.com/v1, https://api.stripe.com/v2",
      ["external api.stripe.com:443", "external api.stripe.com:443"],
    ],
    ["X", "file:///mnt/shared/uploads", ["directory file:///mnt/shared/uploads"]],
    ["X", "http://[::1]:9000/", ["external localhost:9000"]],
    ["KAFKA_BROKERS", "kafka-1.corp:9092", ["queue kafka-1.corp:9092"]],
    ["SMTP", "mail.corp.example:587", ["external mail.corp.example:587"]],
    ["DB_HOST", "db.corp.example", ["database db.corp.example"]],
    ["PGHOST", "10.0.0.7", []],
    ["REDIS_HOST", "cache.corp.example", ["cache cache.corp.example"]],
    ["GREETING", "hello.world", []],
    ["LISTEN", "0.0.0.0:8080", []],
    ["LISTEN", "http://0.0.0.0:8080", []],
    ["VERSION", "1.2.3", []],
    ["TIME", "at 12:30", []],
    ["MAIL", "ops@corp.example", []],
    // Completed by a reference: the stamp's own.
    ["X", "http://127.0.0.1:\0/", []],
    ["X", "\0", []],
    ["X", "\0/path?x=1", []],
    ["X", "http://\0:80/", []],
  ])("%s=%j", (name, text, expected) => {
    expect(addressesIn(name, text).map(({ kind, shown }) => `${kind} ${shown}`)).toEqual(expected);
  });
});

describe("findSharing()", () => {
  test("two clean stamps have nothing in common", () => {
    const own: Text = [{ of: "db", field: "url" }];
    const env = { DATABASE_URL: own, ME: ["http://127.0.0.1:", { of: "self", field: "port" }], LEVEL: ["info"] };
    expect(found(stamp("a", { components: [service(env)] }), stamp("b", { components: [service(env)] }))).toEqual([]);
  });

  test("finds a database that two stamps were given by a parameter, whatever user and database they name", () => {
    const of = (user: string) => {
      const url = `postgres://${user}:pw-${user}@db.corp.example:5432/${user}`;
      return { components: [service({ DATABASE_URL: [url] })], parameters: { database: url } };
    };
    const [finding, ...others] = findSharing([stamp("a", of("a")), stamp("b", of("b")), stamp("c")]).findings;
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      verdict: "shared",
      kind: "database",
      stamps: ["a", "b"],
      what: "db.corp.example:5432",
      where: ["env DATABASE_URL of api", "parameter database"],
    });
  });

  test("finds a copied password by its fingerprint, and shows none of it (I33)", () => {
    const secrets = { "cache.password": "hunter2hunter2" };
    const report = findSharing([
      stamp("a", { secrets }),
      stamp("b", { secrets: { "queue.password": "hunter2hunter2" } }),
    ]);
    expect(report.findings).toMatchObject([
      { verdict: "shared", kind: "credential", stamps: ["a", "b"], what: "cache.password, queue.password" },
    ]);
    expect(JSON.stringify(report)).not.toContain("hunter2");
    expect(JSON.stringify(report)).not.toContain("#");
    const keys = { routeKeys: "k1:same-route-key" };
    expect(found(stamp("a", keys), stamp("b", keys))).toEqual(["shared credential a,b route key"]);
    const url = (host: string) => ({ components: [service({ X: [`redis://:same-password@${host}`] })] });
    expect(found(stamp("a", url("one.corp")), stamp("b", url("two.corp")))).toContain(
      "shared credential a,b password for one.corp:6379, password for two.corp:6379",
    );
  });

  test("tells what is outside apart: declared, undeclared, and shared where it holds data", () => {
    const mail: Component = { kind: "external", name: "mail", url: ["smtp://mail.corp.example:587"] };
    const env = {
      MAIL: ["smtp://mail.corp.example:587"],
      STRIPE: ["https://api.stripe.com"],
      OWN: ["redis://one.corp"],
    };
    const components = [mail, service(env)];
    expect(
      found(stamp("a", { components }), stamp("b", { components: [mail, service({ STRIPE: env.STRIPE })] })),
    ).toEqual([
      "undeclared cache a one.corp:6379",
      "undeclared external a,b api.stripe.com:443",
      "declared-outside external a,b mail.corp.example:587",
    ]);
    expect(found(stamp("a", { components: [service({}, [["x"], ["--db=postgres://h.corp"]])] }))).toEqual([
      "undeclared database a h.corp:5432",
    ]);
  });

  test("a user that this machine cannot keep apart is advisory; one that it should is shared", () => {
    const uid = (more: Partial<ResourceFact> = {}): ResourceFact => ({
      kind: "uid",
      identity: "0",
      shown: "user 0",
      where: "api",
      relation: "own",
      ...more,
    });
    const advisory = "the checkout is closed to others";
    const two = (a: ResourceFact, b: ResourceFact) => found(stamp("a", { facts: [a] }), stamp("b", { facts: [b] }));
    expect(two(uid({ advisory }), uid({ advisory }))).toEqual([`advisory uid a,b user 0: ${advisory}`]);
    expect(two(uid({ advisory }), uid())).toEqual(["shared uid a,b user 0"]);
    expect(two(uid(), uid({ identity: "1" }))).toEqual([]);
    expect(findSharing([stamp("a", { facts: [uid(), uid({ where: "worker" })] })]).findings).toEqual([]);
    for (const kind of ["port", "directory", "database", "endpoint", "process"] as const) {
      expect(two(uid({ kind }), uid({ kind }))).toEqual([`shared ${kind} a,b user 0`]);
    }
  });

  test("puts the gravest first and passes on what could not be looked at", () => {
    const report = findSharing([{ stamp: "zero", facts: [], unseen: ["it was adopted"] }]);
    expect(report).toEqual({ stamps: 1, findings: [], unseen: [{ stamp: "zero", why: "it was adopted" }] });
  });
});
