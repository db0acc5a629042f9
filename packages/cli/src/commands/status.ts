import type { StatusView } from "@stampyard/api";
import { command } from "../define.ts";
import { fields, table } from "../output/table.ts";
import { rolloutTable } from "./rollout/rollout-text.ts";

export const status = command({
  usage: "status",
  summary: "Show the fleet at a glance, and what it waits for",
  examples: [
    ["status", "of the fleet of ./fleet.yaml"],
    ["status --server https://stamps.example.com --token-file ops.token", "of a fleet elsewhere"],
  ],
  run: async (run) => {
    const client = await run.client();
    const seen = await client.status({ signal: run.io.signal });
    run.emit(seen, () => statusText(seen));
  },
});

export function statusText(status: StatusView): string {
  const { directory } = status;
  const head = fields([
    ["Fleet", status.fleet ?? "none yet (stampyard apply)"],
    [
      "Mode",
      status.mode === "normal"
        ? undefined
        : `${status.mode}: ${status.modeReason ?? "placement and directory are frozen"}`,
    ],
    [
      "Control plane",
      `${status.version}, ${status.role}${status.role === "leader" ? "" : `; ${status.leader ?? "nobody"} leads`}`,
    ],
    ["Directory", `version ${directory.version}, incarnation ${directory.incarnation}`],
    ["Stamps", counts(status.stamps)],
    ["Tenants", counts(status.tenants)],
  ]);
  const routers =
    status.routers.length === 0
      ? "\nNo router has reported yet\n"
      : `\n${table(
          ["router", "live", "version", "lag", "admin"],
          status.routers.map((router) => [
            router.name,
            router.live,
            router.ackedVersion,
            router.lag,
            router.admin ?? router.address,
          ]),
        )}`;
  const waiting =
    status.waitingOn.length === 0
      ? ""
      : `\n${table(
          ["waiting", "name", "for"],
          status.waitingOn.map((row) => [row.kind, row.name, row.why]),
        )}`;
  const rollouts = status.rollouts.length === 0 ? "" : `\n${rolloutTable(status.rollouts, Date.now())}`;
  const frozen = status.frozen.map((text) => `\nFrozen: ${text}\n`).join("");
  const alerts = status.alerts.length === 0 ? "" : `\n${alertTable(status.alerts)}`;
  const held = status.held.length === 0 ? "" : `\n${heldText(status)}`;
  return head + rollouts + frozen + alerts + routers + held + waiting;
}

/** Enough to see that something is wrong; `release matrix` has them all. */
const mostAlerts = 10;

function alertTable(alerts: StatusView["alerts"]): string {
  const rows = alerts.slice(0, mostAlerts).map(({ kind, stamp, text }) => [kind, stamp, text]);
  const more = alerts.length - rows.length;
  return `${table(["alert", "stamp", "what"], rows)}${more > 0 ? `and ${more} more: stampyard release matrix\n` : ""}`;
}

function counts(byPhase: Readonly<Record<string, number>>): string {
  const shown = Object.entries(byPhase).filter(([, count]) => count > 0);
  return shown.length === 0 ? "none" : shown.map(([phase, count]) => `${count} ${phase}`).join(", ");
}

function heldText(status: StatusView): string {
  const rows = status.held.map((batch) => [batch.id, batch.changes, batch.actor, batch.since, batch.why]);
  return `${table(["held batch", "changes", "by", "since", "why"], rows)}Let one go with: stampyard directory accept BATCH\n`;
}
