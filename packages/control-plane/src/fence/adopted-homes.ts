import type { Tenant } from "@stampyard/domain";
import type { SqlClient } from "@stampyard/movers";
import type { Store } from "../store/port.ts";

const pageSize = 1_000;

/**
 * Gives every tenant that the store knows on an adopted stamp its home there. Until its fence is enforced nobody else
 * writes that table; afterwards each tenant's own reconciler does.
 */
export async function registerHomes(db: SqlClient, store: Pick<Store, "tenants">, stamp: string): Promise<void> {
  for (let cursor: string | undefined; ; ) {
    const page = await store.tenants.list({ stamp, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) });
    const homes = page.items.map(({ value }) => ({ tenant: value.key, state: homeState(value), epoch: value.epoch }));
    await db.query(
      `insert into stampyard.tenant_home (tenant, state, epoch)
       select h.tenant, h.state, h.epoch from jsonb_to_recordset($1::jsonb) as h (tenant text, state text, epoch bigint)
       on conflict (tenant) do nothing`,
      [JSON.stringify(homes.filter(({ epoch }) => epoch > 0))],
    );
    if (page.nextCursor === undefined) return;
    cursor = page.nextCursor;
  }
}

function homeState({ state }: Tenant): "active" | "suspended" | "deleting" {
  return state.kind === "suspended" || state.kind === "deleting" ? state.kind : "active";
}
