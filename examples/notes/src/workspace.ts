import type { Queryable } from "./database.ts";

/**
 * Ids of the rows every tenant begins with. All tenants have the same ones: a key is (tenant_id, id), so they are
 * different rows, and a repeated hook finds what the first one made.
 */
export const seedIds = {
  owner: "00000000-0000-4000-8000-000000000001",
  welcomeNotebook: "00000000-0000-4000-8000-000000000002",
} as const;

/** Makes the tenant's account, its first user and the Welcome notebook. Repeating it changes nothing. */
export async function seedWorkspace(db: Queryable, tenant: string): Promise<void> {
  await db.query("insert into accounts (tenant_id, name) values ($1, $1) on conflict do nothing", [tenant]);
  await db.query("insert into users (tenant_id, id, name) values ($1, $2, 'owner') on conflict do nothing", [
    tenant,
    seedIds.owner,
  ]);
  await db.query("insert into notebooks (tenant_id, id, name) values ($1, $2, 'Welcome') on conflict do nothing", [
    tenant,
    seedIds.welcomeNotebook,
  ]);
}

/** Children before parents. Tables that hang on notes by `on delete cascade` are not named. */
const ownedTables = ["outbox", "notes", "tags", "notebooks", "users"] as const;

/**
 * Erases every row of the tenant. The account row is locked first: writers that are under way hold it by their foreign
 * keys and are waited for, later ones wait for us and then find no account. So nothing slips in behind the erasing.
 */
export async function eraseWorkspace(db: Queryable, tenant: string): Promise<void> {
  await db.query("select from accounts where tenant_id = $1 for update", [tenant]);
  for (const table of ownedTables) await db.query(`delete from ${table} where tenant_id = $1`, [tenant]);
  await db.query("delete from accounts where tenant_id = $1", [tenant]);
}
