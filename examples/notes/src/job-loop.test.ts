import type { Pool } from "pg";
import { expect, test } from "vitest";
import { workOnce } from "./job-loop.ts";
import { memorySearch } from "./test-search.ts";

test("workOnce() claims nothing for tenants whose home is not active here, and goes on to the others", async () => {
  const claimed: unknown[] = [];
  const query = async (sql: string, values: readonly unknown[]) => {
    if (sql.startsWith("select distinct"))
      return { rows: ["acme", "bcme", "ccme"].map((tenant_id) => ({ tenant_id })) };
    claimed.push(values[0]);
    return { rows: [] };
  };
  const states = { acme: "fenced", bcme: "active", ccme: undefined } as const;
  const home = async (tenant: string, question: { readonly fresh: boolean }) => {
    expect(question.fresh).toBe(true);
    const state = states[tenant as keyof typeof states];
    return state === undefined ? undefined : { state, epoch: 1 };
  };
  const pool = { query } as unknown as Pool;
  const deps = { pool, ownership: { home }, cache: { drop: async () => {} }, search: memorySearch(), log: () => {} };
  expect(await workOnce(deps, new AbortController().signal)).toBe(0);
  expect(claimed).toEqual(["bcme"]);
});

test.each(["SY001", "40001"])("workOnce() goes on to the others when one is fenced as it claims (%s)", async (code) => {
  const claimed: unknown[] = [];
  const query = async (sql: string, values: readonly unknown[]) => {
    if (sql.startsWith("select distinct")) return { rows: ["acme", "bcme"].map((tenant_id) => ({ tenant_id })) };
    claimed.push(values[0]);
    if (values[0] === "acme") throw Object.assign(new Error("tenant acme is not writable here"), { code });
    return { rows: [] };
  };
  const home = async () => ({ state: "active", epoch: 1 }) as const;
  const deps = {
    pool: { query } as unknown as Pool,
    ownership: { home },
    cache: { drop: async () => {} },
    search: memorySearch(),
    log: () => {},
  };
  expect(await workOnce(deps, new AbortController().signal)).toBe(0);
  expect(claimed).toEqual(["acme", "bcme"]);
});

test("an index that is away fails no job: what is left of it becomes a job of its own", async () => {
  const job = { id: "j1", kind: "note-written", subject_id: "n1", attempts: 1 };
  const said: string[] = [];
  const query = async (sql: string, values: readonly unknown[] = []) => {
    said.push(sql.startsWith("insert into outbox") ? String(values[1]) : sql.split(" ", 2).join(" "));
    if (sql.startsWith("select distinct")) return { rows: [{ tenant_id: "acme" }] };
    if (sql.startsWith("update outbox o")) return { rows: [job] };
    return { rows: [], rowCount: 1 };
  };
  const away = async () => Promise.reject(new Error("Connection is closed"));
  const deps = {
    pool: { query, connect: async () => ({ query, release() {} }) } as unknown as Pool,
    ownership: { home: async () => ({ state: "active", epoch: 1 }) as const },
    cache: { drop: async () => {} },
    search: { ...memorySearch(), remove: away },
    log: () => {},
  };
  expect(await workOnce(deps, new AbortController().signal)).toBe(1);
  expect(said).toEqual(expect.arrayContaining(["note-unindexed", "delete from", "commit"]));
  expect(said).not.toContain("rollback");
});
