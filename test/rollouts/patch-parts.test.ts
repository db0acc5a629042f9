import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { ask } from "../light-fleet.ts";
import { type Variant, faults } from "./faults/releases.ts";
import { rolloutFleet } from "./rollout-fleet.ts";

/** A release whose API cannot start, with another setting of its database. */
const patched: Variant = {
  ...faults.typo,
  name: "patched-db",
  edit: (template) => {
    const edited = faults.typo
      .edit(template)
      .replace("    fence: enforce\n", "    fence: enforce\n    maxConnections: 73\n");
    if (!edited.includes("maxConnections: 73")) throw new Error("stamp.yaml has no database with a fence");
    return edited;
  },
};

test("rollout start --components db brings the database of a release and nothing else of it, wave by wave", async () => {
  await using fleet = await rolloutFleet({
    ...{ name: "patch-parts", stamps: 2, tenants: 1 },
    strategy: "  canary: false\n  waves: [{ count: 1 }, { rest: true }]\n  bake: 0s\n  gate: { enforced: false }\n",
  });
  const before = await answers(fleet.router, fleet.homes.keys());
  // Known from here on, and taken back at its first stamp.
  const bad = await fleet.apply(patched);
  expect(await fleet.settled(bad.id, 60_000)).toMatchObject({ phase: "aborted" });
  expect(await limits(fleet.state, fleet.stamps)).toEqual([50, 50]);

  const watched = await fleet.run("rollout", "start", "--release", "patched-db", "--components", "db", "-o", "json");
  expect(watched.code, watched.err).toBe(0);
  const last = JSON.parse(watched.out.trimEnd().split("\n").at(-1) ?? "{}") as { readonly phase?: string };
  expect(last.phase).toBe("done");
  expect(await limits(fleet.state, fleet.stamps)).toEqual([73, 73]);
  expect(await answers(fleet.router, fleet.homes.keys())).toEqual(before);
}, 120_000);

/** The status that every tenant's home answers with. */
async function answers(router: string, tenants: Iterable<string>): Promise<readonly number[]> {
  return await Promise.all([...tenants].map(async (tenant) => (await ask(router, tenant)).status));
}

/** `max_connections` of each stamp's database, as it runs. */
async function limits(state: string, stamps: readonly string[]): Promise<readonly number[]> {
  const asked = stamps.map(async (stamp) => {
    const dir = join(state, "stamps", stamp);
    const { secrets } = JSON.parse(readFileSync(join(dir, "spec.json"), "utf8")) as { secrets: Record<string, string> };
    const config = readFileSync(join(dir, "data/db/postgresql.conf"), "utf8");
    const socket = /^unix_socket_directories = '(.*)'$/m.exec(config)?.[1] ?? "";
    const password = encodeURIComponent(secrets["db.superPassword"] ?? "");
    const url = `postgresql://postgres:${password}@localhost/app?host=${encodeURIComponent(socket)}`;
    const db = new pg.Client({ connectionString: url });
    await db.connect();
    const { rows } = await db.query<{ max_connections: string }>("show max_connections");
    await db.end();
    return Number(rows[0]?.max_connections);
  });
  return await Promise.all(asked);
}
