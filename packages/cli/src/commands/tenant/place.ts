import type { PlacementView } from "@stampyard/api";
import { Option } from "commander";
import { command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { fields, table } from "../../output/table.ts";
import { parseWeight } from "./create.ts";

interface Options {
  readonly dryRun?: boolean;
  readonly pool?: string;
  readonly tier?: string;
  readonly residency?: readonly string[];
  readonly weight?: readonly string[];
  readonly stamp?: string;
  readonly tenancy?: "shared" | "dedicated";
  readonly channel?: string;
}

export const tenantPlace = command<Options>({
  usage: "place <tenant>",
  summary: "Say where a new tenant would go, and for every stamp why",
  about: "Needs --dry-run: tenant create is what places a tenant for good.",
  options: (c) =>
    c
      .option("--dry-run", "decide, and change nothing")
      .option("--pool <name>", "its pool (default: the only one that is for it)")
      .option("--tier <name>", "its tier")
      .option("--residency <region...>", "regions it may live in (default: any)")
      .option("--weight <unit=number...>", "what it takes of a stamp (default: what its tier does)")
      .option("--stamp <name>", "its home, when it lives there already")
      .addOption(
        new Option("--tenancy <kind>", "a stamp of its own, or one with others").choices(["shared", "dedicated"]),
      )
      .option("--channel <name>", "release channel of its stamp (default: any)"),
  examples: [
    ["tenant place acme --dry-run", "the stamp it would get, and why not another"],
    ["tenant place acme --tier gold --residency eu --dry-run -o json", "all verdicts, for a script"],
  ],
  run: async (run) => {
    if (run.options.dryRun !== true) {
      throw new CommandFailure("INVALID_REQUEST", "tenant place only tells where a tenant would go", {
        mend: "Add --dry-run, or create the tenant: stampyard tenant create.",
      });
    }
    const { pool, tier, residency, weight, stamp, tenancy, channel } = run.options;
    const client = await run.client();
    const placement = await client.placementPreview({
      body: {
        key: run.args[0] ?? "",
        ...(pool === undefined ? {} : { pool }),
        ...(tier === undefined ? {} : { tier }),
        ...(residency === undefined ? {} : { residency: [...residency] }),
        ...(weight === undefined ? {} : { weight: parseWeight(weight) }),
        ...(stamp === undefined ? {} : { stamp }),
        ...(tenancy === undefined ? {} : { tenancy }),
        ...(channel === undefined ? {} : { channel }),
      },
      signal: run.io.signal,
    });
    run.emit(placement, () => placementText(placement));
  },
});

export const tenantExplain = command({
  usage: "explain <tenant>",
  summary: "Say where a tenant would go if it were placed now, and for every stamp why",
  about: "Its own place is not counted. A tenant that has a home stays there: only a move takes it elsewhere.",
  completes: ["tenant"],
  examples: [["tenant explain acme", "its home, the best stamp now, and what is against each other one"]],
  run: async (run) => {
    const client = await run.client();
    const key = run.args[0] ?? "";
    const placement = await client.placementExplain({ params: { key }, signal: run.io.signal });
    run.emit(placement, () => placementText(placement));
  },
});

export function placementText(placement: PlacementView): string {
  const { override, residency, residencyRule, weight } = placement;
  const rule = residencyRule === undefined ? "" : ` (rule ${residencyRule})`;
  const head = fields([
    ["Tenant", placement.tenant],
    ["Pool", placement.pool],
    ["Tier", placement.tier],
    ["Tenancy", placement.tenancy],
    ["Channel", placement.channel],
    [
      "Weight",
      Object.entries(weight)
        .map(([unit, value]) => `${unit}=${value}`)
        .join(" "),
    ],
    ["Residency", residency.length === 0 ? "any region" : `${residency.join(", ")}${rule}`],
    ["Override", override === undefined ? undefined : overrideText(override)],
    ["Home", placement.home],
    ["Decision", decisionText(placement)],
  ]);
  if (placement.verdicts.length === 0) return head;
  const rows = placement.verdicts.map(({ stamp, outcome, total, filter, why }) => [
    stamp,
    outcome,
    total === undefined ? undefined : Math.round(total * 1_000) / 1_000,
    filter,
    why,
  ]);
  return `${head}\n${table(["stamp", "outcome", "score", "filter", "why"], rows)}`;
}

function decisionText({ outcome, stamp, why }: PlacementView): string {
  if (outcome === "place") return `stamp ${stamp}`;
  return outcome === "wait" ? `waits for ${why}` : `no place: ${why}`;
}

export function overrideText({ kind, stamp, until }: NonNullable<PlacementView["override"]>): string {
  const what = kind === "pin" ? `pinned to ${stamp}` : "quarantined";
  return until === undefined ? what : `${what} until ${until}`;
}
