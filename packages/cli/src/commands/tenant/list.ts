import type { TenantView } from "@stampyard/api";
import { command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { table } from "../../output/table.ts";

const phases = [
  "requested",
  "placing",
  "preparing",
  "active",
  "suspending",
  "suspended",
  "resuming",
  "moving",
  "deleting",
  "gone",
] as const;

interface Options {
  readonly pool?: string;
  readonly stamp?: string;
  readonly phase?: string;
}

export const tenantList = command<Options>({
  usage: "list",
  summary: "List tenants with their home stamp",
  options: (c) =>
    c
      .option("--pool <name>", "only of this pool")
      .option("--stamp <name>", "only on this stamp")
      .option("--phase <phase>", `only in this phase: ${phases.join(", ")}`),
  examples: [
    ["tenant list", "every tenant"],
    ["tenant list --stamp shared-1 -o json", "tenants of one stamp, for a script"],
  ],
  run: async (run) => {
    const { pool, stamp, phase } = run.options;
    const client = await run.client();
    const items = await client.all("tenantList", {
      query: {
        limit: 500,
        ...(pool === undefined ? {} : { pool }),
        ...(stamp === undefined ? {} : { stamp }),
        ...(phase === undefined ? {} : { phase: phaseOf(phase) }),
      },
      signal: run.io.signal,
    });
    run.emit({ items }, () => tenantTable(items));
  },
});

function phaseOf(text: string): (typeof phases)[number] {
  const phase = phases.find((known) => known === text);
  if (phase !== undefined) return phase;
  throw new CommandFailure("INVALID_REQUEST", `There is no tenant phase ${JSON.stringify(text)}`, {
    mend: `Use one of ${phases.join(", ")}.`,
  });
}

export function tenantTable(tenants: readonly TenantView[]): string {
  if (tenants.length === 0) return "No tenants\n";
  return table(
    ["tenant", "stamp", "phase", "pool", "tier", "epoch", "hostnames", "waiting on"],
    tenants.map((tenant) => [
      tenant.key,
      tenant.stamp,
      tenant.phase,
      tenant.pool,
      tenant.tier,
      tenant.epoch,
      tenant.hostnames.join(","),
      tenant.cause ?? tenant.waitingOn,
    ]),
  );
}
