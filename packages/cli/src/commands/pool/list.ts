import type { PoolView } from "@stampyard/api";
import { command } from "../../define.ts";
import { table } from "../../output/table.ts";

export const poolList = command({
  usage: "list",
  summary: "List pools with their stamps and places",
  examples: [["pool list", "every pool of the fleet"]],
  run: async (run) => {
    const client = await run.client();
    const items = await client.all("poolList", { signal: run.io.signal });
    run.emit({ items }, () => poolTable(items));
  },
});

function poolTable(pools: readonly PoolView[]): string {
  if (pools.length === 0) return "No pools: apply a fleet first (stampyard apply)\n";
  return table(
    ["pool", "tenancy", "regions", "stamps", "min", "max", "spare", "tenants"],
    pools.map((pool) => [
      pool.name,
      pool.tenancy,
      pool.regions.join(","),
      `${pool.active} of ${pool.present} active`,
      pool.stamps.min,
      pool.stamps.max,
      pool.stamps.spare ?? 0,
      `${pool.used.tenants}/${pool.total.tenants}`,
    ]),
  );
}
