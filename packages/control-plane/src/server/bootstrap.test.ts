import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Store, TokenRecord } from "../store/port.ts";
import { ensureBootstrapTokens } from "./bootstrap.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "stampyard-bootstrap-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const ctx = { actor: "system", token: 1 };

/** Tokens in memory, as far as the bootstrap needs them. */
function createTokens() {
  const rows: (TokenRecord & { secret: string })[] = [];
  const revoke = (index: number) => {
    const row = rows[index];
    if (row !== undefined) rows[index] = { ...row, revokedAt: 1 };
  };
  const tokens = {
    async create({ name, role, replace }: { name: string; role: TokenRecord["role"]; replace?: boolean }) {
      for (const [index, row] of rows.entries()) if (replace && row.name === name) revoke(index);
      const secret = `sy_${role}_${rows.length}`;
      const record = { id: `tok_${rows.length}`, name, role, createdAt: 0, createdBy: "system" };
      rows.push({ ...record, secret });
      return { record, secret };
    },
    async verify(secret: string) {
      return rows.find((row) => row.secret === secret && row.revokedAt === undefined);
    },
    async list() {
      return { items: rows };
    },
  };
  return { rows, revoke, store: { tokens } as unknown as Pick<Store, "tokens"> };
}

test("ensureBootstrapTokens() makes both tokens once, in files that only their owner can read", async () => {
  const { rows, store } = createTokens();
  const first = await ensureBootstrapTokens(store, dir, ctx);
  expect(first.made).toEqual(["admin", "router"]);
  for (const file of [first.adminTokenFile, first.routerTokenFile]) {
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await store.tokens.verify((await readFile(file, "utf8")).trim())).toBeDefined();
  }
  expect((await stat(join(dir, "secrets"))).mode & 0o777).toBe(0o700);
  expect((await ensureBootstrapTokens(store, dir, ctx)).made).toEqual([]);
  expect(rows.length).toBe(2);
  expect((await readdir(join(dir, "secrets"))).sort()).toEqual(["admin.token", "router.token"]);
});

test("ensureBootstrapTokens() replaces a first token whose file was lost, and revokes the lost one", async () => {
  const { rows, store } = createTokens();
  const { adminTokenFile } = await ensureBootstrapTokens(store, dir, ctx);
  const lost = await readFile(adminTokenFile, "utf8");
  await rm(adminTokenFile);
  expect((await ensureBootstrapTokens(store, dir, ctx)).made).toEqual(["admin"]);
  expect(await store.tokens.verify(lost.trim())).toBeUndefined();
  expect(rows.length).toBe(3);
});

test("ensureBootstrapTokens() writes a file again that names a token of another store", async () => {
  const { store } = createTokens();
  const { adminTokenFile } = await ensureBootstrapTokens(store, dir, ctx);
  await writeFile(adminTokenFile, "sy_admin_of_yesterday\n");
  await writeFile(`${adminTokenFile}.new`, "half a file of a crash");
  expect((await ensureBootstrapTokens(store, dir, ctx)).made).toEqual(["admin"]);
  expect(await store.tokens.verify((await readFile(adminTokenFile, "utf8")).trim())).toMatchObject({ role: "admin" });
});

test("ensureBootstrapTokens() does not bring back a first token that a person revoked", async () => {
  const { rows, revoke, store } = createTokens();
  const { adminTokenFile } = await ensureBootstrapTokens(store, dir, ctx);
  await store.tokens.create({ name: "alice", role: "admin" }, ctx);
  revoke(0);
  await rm(adminTokenFile);
  expect((await ensureBootstrapTokens(store, dir, ctx)).made).toEqual([]);
  expect(rows.length).toBe(3);
});
