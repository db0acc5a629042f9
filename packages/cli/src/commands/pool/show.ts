import type { PoolDetailView } from "@stampyard/api";
import { command } from "../../define.ts";
import { amount, percent } from "../../output/bar.ts";
import { age, fields, table } from "../../output/table.ts";

export const poolShow = command({
  usage: "show <pool>",
  summary: "Show one pool: what it waits for, what it proposes, and when it is full",
  about:
    "A pool builds its next stamp by itself unless its automation says propose. What it does not do by itself stands here as a proposal.",
  completes: ["pool"],
  examples: [
    ["pool show shared", "how full it is, its growth, its alerts and proposals"],
    ["pool show shared -o json", "the same for a script"],
  ],
  run: async (run) => {
    const client = await run.client();
    const pool = await client.poolGet({ params: { name: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit(pool, () => poolText(pool, Date.now()));
  },
});

export function poolText(pool: PoolDetailView, nowMs: number): string {
  const { stamps, forecast, growth, placement } = pool;
  const head = fields([
    ["Pool", pool.name],
    ["Tenancy", pool.tenancy],
    ["Regions", pool.regions.join(", ")],
    ["Tiers", pool.tiers?.join(", ")],
    ["Channel", pool.channel],
    [
      "Stamps",
      `${pool.active} of ${pool.present} active, min ${stamps.min}, max ${stamps.max}${spareText(stamps.spare)}`,
    ],
    ["Tenants", `${pool.used.tenants} of ${pool.total.tenants} places${waitingText(pool.waiting)}`],
    ["Fullest unit", `${forecast.unit}, ${percent(forecast.share)} used`],
    ["Marks", pool.tenancy === "dedicated" ? undefined : marksText(growth)],
    ["Placement", placement?.strategy ?? "spread"],
    ["Growth", growthText(forecast)],
    ["Full", forecast.fullAt === undefined ? undefined : until(forecast.fullAt, nowMs)],
    ["Order next by", forecast.orderBy === undefined ? undefined : until(forecast.orderBy, nowMs)],
    ["Waiting on", pool.waitingOn],
  ]);
  const alerts =
    pool.alerts.length === 0
      ? ""
      : `\n${table(
          ["alert", "what"],
          pool.alerts.map(({ kind, text }) => [kind, text]),
        )}`;
  return `${head}${alerts}${proposalsText(pool)}`;
}

function proposalsText({ name, proposals }: PoolDetailView): string {
  if (proposals.length === 0) return "";
  const rows = proposals.map((proposal) => [proposal.id, whatOf(proposal), proposal.why]);
  return `\n${table(["proposal", "what", "why"], rows)}Do one with: stampyard pool apply-proposal ${name} PROPOSAL\n`;
}

function whatOf(proposal: PoolDetailView["proposals"][number]): string {
  switch (proposal.kind) {
    case "grow": {
      const whose = proposal.reservedFor === undefined ? "" : ` for ${proposal.reservedFor}`;
      return `build a stamp in ${proposal.region}${whose}`;
    }
    case "scale-down":
      return `${proposal.step} ${proposal.stamp}`;
    case "rebalance":
      return `move ${amount(proposal.amount)} ${proposal.unit} from ${proposal.from} to ${proposal.to}`;
  }
}

function spareText(spare: number | undefined): string {
  return spare === undefined || spare === 0 ? "" : `, ${spare} kept empty`;
}

function waitingText(waiting: number): string {
  return waiting === 0 ? "" : `, ${waiting} waiting`;
}

/** A dedicated pool has none: each stamp is full with its one tenant. */
function marksText(growth: PoolDetailView["growth"]): string {
  return `builds from ${percent(growth?.low ?? 0.8)}, full from ${percent(growth?.high ?? 1)}${headroomText(growth)}`;
}

function headroomText(growth: PoolDetailView["growth"]): string {
  return growth?.headroom === undefined || growth.headroom === 0 ? "" : `, ${percent(growth.headroom)} kept free`;
}

function growthText({ perDay }: PoolDetailView["forecast"]): string | undefined {
  const units = Object.entries(perDay).map(([unit, each]) => `${amount(each)} ${unit}`);
  return units.length === 0 ? undefined : `${units.join(", ")} a day`;
}

function until(at: string, nowMs: number): string {
  const ms = Date.parse(at);
  return ms <= nowMs ? "now" : `in ${age(nowMs, ms)}`;
}
