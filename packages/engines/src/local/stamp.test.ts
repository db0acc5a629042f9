import { chmodSync, existsSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { StampObservation } from "@stampyard/domain";
import { jobFixture, serviceFixture } from "@stampyard/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgresUrl } from "./host/values.ts";
import { isReachable, isRoot } from "./places.ts";
import type { RoleSecret } from "./postgres/roles.ts";
import { commandOf } from "./process/identity.ts";
import {
  call,
  hostPid,
  type LocalUnderTest,
  nats,
  never,
  openTestEngine,
  postgres,
  redis,
  until,
} from "./test-engine.ts";

async function query(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

const pidOf = (seen: StampObservation, name: string) => seen.components.find((c) => c.name === name)?.pid ?? 0;

describe("a whole local stamp", () => {
  let under: LocalUnderTest;
  let seen: StampObservation;
  let countFile: string;
  const components = () => [
    postgres,
    redis,
    nats,
    jobFixture("migrate", "count.mjs", {
      env: { DATABASE_URL: [{ of: "db", field: "migrationUrl" }], COUNT_FILE: [countFile] },
    }),
    serviceFixture("api", "serve.mjs", {
      env: {
        NAME: ["api"],
        DATABASE_URL: [{ of: "db", field: "url" }],
        REDIS_URL: [{ of: "cache", field: "url" }],
        NATS_URL: [{ of: "queue", field: "url" }],
        ROUTE_KEYS: [{ of: "route", field: "keys" }],
        ME: ["http://127.0.0.1:", { of: "self", field: "port" }, "/", { of: "self", field: "replica" }],
      },
      resources: { memoryMb: 256, cpus: 1 },
    }),
    serviceFixture("worker", "worker.mjs", { listens: false, env: { API: [{ of: "api", field: "url" }] } }),
  ];
  const spec = () => under.spec("eu-1", components());
  const urlOf = (secret: RoleSecret) => postgresUrl(under.place("eu-1"), spec().secrets, "db", secret);

  beforeAll(async () => {
    under = await openTestEngine();
    countFile = join(under.place("eu-1").dataDir, "home", "count");
    seen = await under.engine.apply(spec(), call);
  });
  afterAll(async () => {
    await under[Symbol.asyncDispose]();
  });

  test("apply() starts all of it, each behind what it needs", () => {
    expect(seen.components.map((c) => c.status)).toEqual([
      "healthy",
      "healthy",
      "healthy",
      "done",
      "healthy",
      "healthy",
    ]);
    const since = (name: string) => seen.components.find((c) => c.name === name)?.since ?? 0;
    expect(since("migrate")).toBeGreaterThanOrEqual(since("db"));
    expect(since("api")).toBeGreaterThanOrEqual(since("migrate"));
  });

  test("a service sees what its template says, and nothing of ours", async () => {
    const [endpoint] = seen.endpoints;
    const answer = await fetch(`http://127.0.0.1:${endpoint?.port}/env`);
    const { env, uid } = (await answer.json()) as { env: Record<string, string>; uid: number };
    expect(Object.keys(env).sort()).toEqual(
      [
        ...["DATABASE_URL", "HOME", "LANG", "ME", "NAME", "NATS_URL", "PATH", "PORT", "REDIS_URL", "ROUTE_KEYS"],
        ...["STAMPYARD_PROCESS", "TZ"],
      ].sort(),
    );
    expect(env["ME"]).toBe(`http://127.0.0.1:${endpoint?.port}/0`);
    expect(await query(env["DATABASE_URL"] ?? "", "select current_user as name")).toEqual([{ name: "stampyard_app" }]);
    // In a checkout that is closed to others Node itself is, too: services run as we do then, and `doctor` says so.
    if (isRoot) expect(uid).toBe(isReachable(process.execPath) ? under.ledgerOf("eu-1")?.uid : 0);
  });

  test("freeBytes() tells what the volume of a component's data has left, and nothing of what is not there", async () => {
    const bytes = (await under.engine.freeBytes?.("eu-1", "db", never)) ?? 0;
    expect(bytes).toBeGreaterThan(0);
    const { blocks, bsize } = statfsSync(under.place("eu-1").dataDir);
    expect(bytes).toBeLessThanOrEqual(blocks * bsize);
    expect(await under.engine.freeBytes?.("eu-1", "nothing", never)).toBeUndefined();
    expect(await under.engine.freeBytes?.("nobody", "db", never)).toBeUndefined();
  });

  test("facts() tells what the stamp really has, each once, and no secret", async () => {
    const facts = (await under.engine.facts?.("eu-1", never)) ?? [];
    const of = (kind: string) => facts.filter((fact) => fact.kind === kind).map((fact) => fact.identity);
    const running = seen.components.flatMap(({ pid }) => (pid === undefined ? [] : [String(pid)]));
    expect(of("process").sort()).toEqual(running.sort());
    expect(of("port")).toContain(String(seen.endpoints[0]?.port));
    expect(of("database")).toHaveLength(1);
    expect(of("directory").length).toBeGreaterThan(6);
    expect(new Set(of("directory")).size, "no directory is told twice").toBe(of("directory").length);
    const users = facts.filter((fact) => fact.kind === "uid");
    expect(users).toHaveLength(running.length);
    const databaseUser = users.find((fact) => fact.component === "db");
    if (isRoot) {
      expect(databaseUser).toMatchObject({ identity: String(under.ledgerOf("eu-1")?.uid) });
      expect(databaseUser?.advisory).toBeUndefined();
      const own = isReachable(process.execPath);
      expect(users.find((fact) => fact.component === "api")?.advisory === undefined).toBe(own);
    } else expect(databaseUser?.advisory).toContain("only root");
    for (const secret of Object.values(spec().secrets)) expect(JSON.stringify(facts)).not.toContain(secret);
    expect(await under.engine.facts?.("nobody", never)).toEqual([]);
  });

  test("no password is in an argument, and sockets and configuration are closed to others (I33)", () => {
    const secrets = Object.values(spec().secrets);
    for (const { pid, name } of seen.components) {
      const command = commandOf(pid ?? 0);
      for (const secret of secrets) expect(command.includes(secret), `${name} shows a password`).toBe(false);
    }
    const place = under.place("eu-1");
    expect(statSync(place.socketDir).mode & 0o777).toBe(0o700);
    for (const file of [place.specFile, join(place.dataDir, "queue.conf"), join(place.dataDir, "cache.conf")]) {
      expect(statSync(file).mode & 0o777, file).toBe(0o600);
    }
    if (isRoot) expect(statSync(place.socketDir).uid).toBe(under.ledgerOf("eu-1")?.uid);
  });

  test.runIf(isRoot && existsSync("/sys/fs/cgroup/memory"))("a component's limits are the kernel's", () => {
    const groups = readFileSync(`/proc/${pidOf(seen, "api")}/cgroup`, "utf8");
    const path = /:memory:(.*)/.exec(groups)?.[1] ?? "";
    const limit = readFileSync(join("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"), "utf8");
    expect(Number(limit)).toBe(256 * 1_048_576);
  });

  test("the application's role can neither see around nor remove the fence (D4, I43)", async () => {
    await query(urlOf("ownerPassword"), "create table notes (id int primary key, text text); create sequence ids");
    await query(
      urlOf("moverPassword"),
      "insert into stampyard.tenant_home (tenant, state, epoch) values ('t','active',1)",
    );
    expect(await query(urlOf("appPassword"), "insert into notes values (1, 'x') returning id")).toEqual([{ id: 1 }]);
    expect(await query(urlOf("appPassword"), "select nextval('ids') as n")).toHaveLength(1);
    expect(await query(urlOf("appPassword"), "select state from stampyard.tenant_home")).toEqual([{ state: "active" }]);
    const refused = [
      "update stampyard.tenant_home set epoch = 2",
      "delete from stampyard.tenant_home",
      "truncate stampyard.tenant_home",
      "alter table stampyard.tenant_home disable trigger all",
      "drop trigger announce on stampyard.tenant_home",
      "create or replace function stampyard.announce_tenant_home() returns trigger language plpgsql as 'begin return null; end'",
      "drop function stampyard.announce_tenant_home() cascade",
      "alter function stampyard.announce_tenant_home() security invoker",
      "drop schema stampyard cascade",
      "set session_replication_role = replica",
      "set role stampyard",
      "set role stampyard_mover",
    ];
    for (const text of [...refused, "truncate notes", "alter table notes add column x int", "drop table notes"]) {
      await expect(query(urlOf("appPassword"), text), text).rejects.toThrow(/permission denied|must be owner/);
    }
    // The migration role owns its tables, but neither our schema nor the database.
    for (const text of [...refused.filter((t) => !t.includes("replica")), "drop database app"]) {
      await expect(query(urlOf("ownerPassword"), text), text).rejects.toThrow(
        /permission denied|must be owner|currently open/,
      );
    }
    expect(await under.engine.operatorUrl(spec(), "db", never)).toBe(urlOf("moverPassword"));
    expect(await under.engine.adminUrl?.(spec(), "db", never)).toBe(urlOf("superPassword"));
    await query(urlOf("moverPassword"), "set session_replication_role = replica");
    expect(await query(urlOf("moverPassword"), "select pg_has_role('pg_read_all_stats', 'member') as can")).toEqual([
      { can: true },
    ]);
    expect(await query(urlOf("moverPassword"), "select text from notes")).toEqual([{ text: "x" }]);
  });

  test("each stamp has passwords of its own: another's is refused", async () => {
    const wrong = urlOf("appPassword").replace(spec().secrets["db.appPassword"] ?? "", "x".repeat(32));
    await expect(query(wrong, "select 1")).rejects.toThrow(/password authentication failed/);
  });

  test("kill -9 of PostgreSQL: its host restarts it, and nobody else", async () => {
    const before = await under.engine.observe("eu-1", never);
    process.kill(pidOf(before, "db"), "SIGKILL");
    const after = await until("PostgreSQL to be back", async () => {
      const now = await under.engine.observe("eu-1", never);
      const db = now.components.find((component) => component.name === "db");
      return db?.status === "healthy" && db.pid !== pidOf(before, "db") ? now : undefined;
    });
    const others = (observation: StampObservation) => observation.components.filter((c) => c.name !== "db");
    expect(others(after)).toEqual(others(before));
    // A second time when processes of the killed server are still on their way out.
    expect([1, 2]).toContain(after.components.find((component) => component.name === "db")?.restarts);
    expect(await query(urlOf("appPassword"), "select id from notes")).toEqual([{ id: 1 }]);
  });

  test("after kill -9 of everything, as in a power cut, apply() brings all back with the data", async () => {
    const before = await under.engine.observe("eu-1", never);
    process.kill(hostPid(under, "eu-1"), "SIGKILL");
    for (const { pid } of before.components) if (pid !== undefined) process.kill(pid, "SIGKILL");
    await until("the host's death to be seen", async () =>
      (await under.engine.observe("eu-1", never)).host === "down" ? true : undefined,
    );
    const after = await under.engine.apply(spec(), call);
    expect(after.components.map((c) => c.status)).toEqual(before.components.map((c) => c.status));
    expect(after.endpoints).toEqual(before.endpoints);
    expect(await query(urlOf("appPassword"), "select id from notes")).toEqual([{ id: 1 }]);
    expect(readFileSync(countFile, "utf8"), "runs of the release job").toBe("x");
  });

  test("a new release runs its job again and keeps the database's process", async () => {
    const before = await under.engine.observe("eu-1", never);
    const next = under.spec("eu-1", [...components(), serviceFixture("extra", "serve.mjs")]);
    const after = await under.engine.apply(next, call);
    expect(pidOf(after, "db")).toBe(pidOf(before, "db"));
    expect(readFileSync(countFile, "utf8"), "runs of the release job").toBe("xx");
    expect(after.stampDigest).toBe(next.rendered.stampDigest);
  });

  test.runIf(isRoot)("a state directory that is closed to others later keeps its stamps' data where it is", () => {
    const { dataDir } = under.place("eu-1");
    chmodSync(under.dir, 0o700);
    expect(under.place("eu-1").dataDir).toBe(dataDir);
    expect(under.place("eu-2").dataDir).toContain("/var/lib/stampyard/");
    chmodSync(under.dir, 0o755);
  });

  test("stop() keeps the data; destroy() leaves no directory, port, user or cgroup", async () => {
    await under.engine.stop("eu-1", call);
    expect(await under.engine.observe("eu-1", never)).toMatchObject({ presence: "present", host: "down" });
    await under.engine.apply(spec(), call);
    expect(await query(urlOf("appPassword"), "select id from notes")).toEqual([{ id: 1 }]);
    const place = under.place("eu-1");
    await under.engine.destroy("eu-1", call);
    for (const path of [place.dir, place.dataDir, place.runDir, place.hostLock]) expect(existsSync(path)).toBe(false);
    expect(under.ledgerOf("eu-1")).toBeUndefined();
    for (const kind of ["memory", "cpu", "pids"]) {
      expect(existsSync(join("/sys/fs/cgroup", kind, "stampyard", place.marker))).toBe(false);
    }
  });
});
