import type { StampView } from "@stampyard/api";
import { command } from "../../define.ts";
import { age, fields, table } from "../../output/table.ts";
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
  const head = fields([
    ["Stamp", stamp.name],
    ["Pool", stamp.pool],
    ["Region", stamp.region],
    ["Phase", stamp.phase],
    ["Goal", stamp.goal === "present" ? undefined : stamp.goal],
    ["Cause", stamp.cause],
    ["Waiting on", stamp.waitingOn],
    ["Places", [`tenants ${stamp.used.tenants}/${stamp.capacity.tenants}`, ...units].join(", ")],
    ["Endpoints", endpointText(stamp)],
    ["Release", stamp.releaseDigest],
    ["Stamp digest", stamp.stampDigest],
    ["Runs digest", seen?.stampDigest === stamp.stampDigest ? undefined : seen?.stampDigest],
    ["Parameters", parametersText(stamp.parameters)],
    ["Stamp host", seen?.host],
    ["Observed", seen === undefined ? undefined : `${age(Date.parse(seen.at), nowMs)} ago`],
  ]);
  if (seen === undefined || seen.components.length === 0) return head;
  const rows = seen.components.map((component) => [
    component.replica === 0 ? component.name : `${component.name}.${component.replica}`,
    component.status,
    component.pid,
    component.restarts,
    age(Date.parse(component.since), nowMs),
    component.reason,
  ]);
  return `${head}\n${table(["component", "status", "pid", "restarts", "since", "reason"], rows)}`;
}

function parametersText(parameters: StampView["parameters"]): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ");
}
