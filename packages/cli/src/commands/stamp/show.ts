import type { StampView } from "@stampyard/api";
import { command } from "../../define.ts";
import { age, fields, table } from "../../output/table.ts";
import { shortDigest } from "../rollout/rollout-text.ts";
import { lackingText } from "./adopt.ts";
import { endpointText } from "./list.ts";

export const stampShow = command({
  usage: "show <stamp>",
  summary: "Show one stamp: its phase, components, endpoints and places",
  completes: ["stamp"],
  examples: [["stamp show shared-1", "everything about shared-1 but its secrets"]],
  run: async (run) => {
    const client = await run.client();
    const stamp = await client.stampGet({ params: { name: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit(stamp, () => stampText(stamp, Date.now()));
  },
});

function stampText(stamp: StampView, nowMs: number): string {
  const seen = stamp.observation;
  const units = Object.entries(stamp.capacity.units).map(
    ([unit, limit]) => `${unit} ${stamp.used.units[unit] ?? 0}/${limit}`,
  );
  // Nothing of it comes from a release, and nobody of ours supervises it.
  const isAdopted = stamp.origin === "adopted";
  const head = fields([
    ["Stamp", stamp.name],
    ["Pool", stamp.pool],
    ["Region", stamp.region],
    ["Phase", stamp.phase],
    ["Goal", goalText(stamp)],
    ["Message", stamp.goalDetail?.message],
    ["Origin", isAdopted ? "adopted: destroying it only forgets it" : undefined],
    ["Kept for", stamp.reservedFor],
    ["Cause", stamp.cause],
    ["Waiting on", stamp.waitingOn],
    ["Places", [`tenants ${stamp.used.tenants}/${stamp.capacity.tenants}`, ...units].join(", ")],
    ["Over-full", stamp.over === undefined ? undefined : `${stamp.over.join(", ")}: it takes no new tenants`],
    ["Routing", stamp.routing === undefined ? undefined : `not the fleet's rules: ${stamp.routing.join(", ")}`],
    ["Endpoints", endpointText(stamp)],
    ["Verified", verifiedText(stamp.verification)],
    [
      "Can",
      stamp.adoption === undefined ? undefined : stamp.adoption.capabilities.join(", ") || "serve, and nothing else",
    ],
    ["Database", stamp.adoption?.hasDatabase === true ? "its URL is sealed" : undefined],
    ["Release", isAdopted ? undefined : stamp.releaseDigest],
    ["Stamp digest", isAdopted ? undefined : stamp.stampDigest],
    ["Runs digest", seen?.stampDigest === stamp.stampDigest ? undefined : seen?.stampDigest],
    ["Rollout", stamp.rollouts?.map(rolloutText).join("; ")],
    ["Pinned", stamp.pins?.map(pinText).join("; ")],
    ["Parameters", parametersText(stamp.parameters)],
    ["Stamp host", isAdopted ? undefined : seen?.host],
    ["Observed", seen === undefined ? undefined : `${age(Date.parse(seen.at), nowMs)} ago`],
  ]);
  const lacking = lackingText(stamp);
  if (seen === undefined || seen.components.length === 0) return `${head}${lacking}`;
  const rows = seen.components.map((component) => [
    component.replica === 0 ? component.name : `${component.name}.${component.replica}`,
    component.status,
    component.pid,
    component.restarts,
    age(Date.parse(component.since), nowMs),
    component.reason,
  ]);
  return `${head}${lacking}\n${table(["component", "status", "pid", "restarts", "since", "reason"], rows)}`;
}

/** `drained since 3m by token:tok_1, until 2027-01-31T18:00:00.000Z: old disks`. */
function goalText({ goal, goalDetail }: StampView): string | undefined {
  if (goal === "present") return undefined;
  const { by, deadline, reason, force } = goalDetail ?? {};
  const parts = [
    ...(by === undefined ? [] : [`by ${by}`]),
    ...(deadline === undefined ? [] : [`until ${deadline}`]),
    ...(force === true ? ["by force"] : []),
  ];
  return `${[goal, ...parts].join(" ")}${reason === undefined ? "" : `: ${reason}`}`;
}

type Rollout = NonNullable<StampView["rollouts"]>[number];
type Pin = NonNullable<StampView["pins"]>[number];

/** `ro-7 (baking), wave canary: updated`. */
function rolloutText({ id, phase, wave, member }: Rollout): string {
  return `${id} (${phase}), wave ${wave}: ${member}`;
}

/** `to 1.4.2 until 2027-01-31T18:00:00.000Z, for tenant acme: a demo`. */
function pinText({ kind, name, release, version, until, reason }: Pin): string {
  const to = release === undefined ? "" : `to ${version ?? shortDigest(release)} `;
  return `${to}until ${until}${kind === "tenant" ? `, for tenant ${name}` : ""}: ${reason}`;
}

function verifiedText(shown: StampView["verification"]): string | undefined {
  if (shown === undefined) return undefined;
  const through = shown.through === "router" ? `router ${shown.router}` : "its endpoint";
  const what = shown.through === "none" ? "by health and digest" : `by ${shown.steps} requests through ${through}`;
  return `${what}, in ${Math.round(shown.tookMs)} ms${shown.note === undefined ? "" : ` (${shown.note})`}`;
}

function parametersText(parameters: StampView["parameters"]): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ");
}
