import type { Client } from "@stampyard/api";
import { CommandFailure } from "../failure.ts";

export const demoTenants: readonly string[] = ["acme", "globex", "initech", "umbrella", "hooli", "stark"];
const moreTenants: readonly string[] = [
  "wayne",
  "tyrell",
  "cyberdyne",
  "soylent",
  "wonka",
  "duff",
  "oscorp",
  "vandelay",
];

export interface HousedTenant {
  readonly key: string;
  readonly stamp: string;
}

/** Creates a tenant and returns when every router knows it. */
export async function createTenant(client: Client, key: string, signal: AbortSignal): Promise<HousedTenant> {
  const tenant = await client.tenantCreate({ body: { key }, query: { wait: 30_000 }, signal });
  if (tenant.phase === "active" && tenant.stamp !== undefined) return { key, stamp: tenant.stamp };
  const why = tenant.cause ?? tenant.waitingOn ?? "no cause known";
  throw new CommandFailure("TIMEOUT", `Tenant ${key} is ${tenant.phase}: ${why}`);
}

/** A name that is not taken yet. */
export function nextTenant(taken: ReadonlySet<string>): string {
  const free = [...demoTenants, ...moreTenants].find((name) => !taken.has(name));
  if (free !== undefined) return free;
  for (let n = 1; ; n++) if (!taken.has(`tenant-${n}`)) return `tenant-${n}`;
}
