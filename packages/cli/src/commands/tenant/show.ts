import type { TenantView } from "@stampyard/api";
import { command } from "../../define.ts";
import { fields } from "../../output/table.ts";

export const tenantShow = command({
  usage: "show <tenant>",
  summary: "Show one tenant",
  completes: ["tenant"],
  examples: [["tenant show acme", "its home stamp, phase, epoch and hostnames"]],
  run: async (run) => {
    const client = await run.client();
    const tenant = await client.tenantGet({ params: { key: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit(tenant, () => tenantText(tenant));
  },
});

export function tenantText(tenant: TenantView): string {
  return fields([
    ["Tenant", tenant.key],
    ["Stamp", tenant.stamp],
    ["Phase", tenant.phase],
    ["Goal", tenant.goal === "present" ? undefined : tenant.goal],
    ["Suspended", suspensionText(tenant)],
    ["Cause", tenant.cause],
    ["Waiting on", tenant.waitingOn],
    ["Move", tenantMoveText(tenant)],
    ["Pool", tenant.pool],
    ["Tier", tenant.tier],
    ["Tenancy", tenant.tenancy],
    ["Channel", tenant.channel],
    ["Residency", tenant.residency.join(", ")],
    [
      "Weight",
      Object.entries(tenant.weight)
        .map(([unit, n]) => `${unit} ${n}`)
        .join(", "),
    ],
    ["Hostnames", tenant.hostnames.join(", ")],
    ["Epoch", tenant.epoch],
    ["Created", tenant.createdAt],
  ]);
}

/** `mv-1: copying to shared-2, waits for …`; after the switch, until when it can be taken back. */
function tenantMoveText({ move }: TenantView): string | undefined {
  if (move === undefined) return undefined;
  const { id, phase, from, to, waitingOn, wayBackUntil } = move;
  if (wayBackUntil !== undefined) return `${id}: from ${from}, can be taken back until ${wayBackUntil}`;
  return `${id}: ${phase}, from ${from} to ${to}${waitingOn === undefined ? "" : `, waits for ${waitingOn}`}`;
}

function suspensionText({ suspension }: TenantView): string | undefined {
  return suspension === undefined ? undefined : `${suspension.at} by ${suspension.by}: ${suspension.reason}`;
}
