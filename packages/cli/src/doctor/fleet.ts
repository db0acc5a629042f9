import type { Client, FleetView } from "@stampyard/api";
import type { Io } from "../io.ts";
import { readRecorded, type StateDir } from "../state-dir.ts";
import { version } from "../version.ts";
import { type Check, look } from "./check.ts";

/** What runs: control plane, router, and what the fleet's own records warn of. */
export async function examineFleet(
  io: Io,
  state: StateDir | undefined,
  connect: () => Promise<Client>,
  nowMs: number,
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  let client: Client | undefined;
  checks.push(
    await look("control plane", async () => {
      const recorded = state === undefined ? undefined : readRecorded(state.controlPlaneFile);
      if (state !== undefined && recorded === undefined) {
        return { level: "warn", found: "never ran here", mend: "Start it with `stampyard up`." };
      }
      if (recorded?.alive === false)
        return { level: "fail", found: "is not running", mend: "Start it with `stampyard up`." };
      client = await connect();
      const status = await client.status({ signal: io.signal });
      const mine = version();
      if (status.mode === "recovering")
        return { level: "warn", found: "is recovering: placement and directory are frozen" };
      if (status.version === mine) return { level: "ok", found: `${status.version}, ${status.role}` };
      return { level: "warn", found: `is ${status.version}, this command ${mine}`, mend: "Use one version of both." };
    }),
  );
  if (state !== undefined) checks.push(await look("router", async () => await router(io, state)));
  if (client === undefined) return checks;
  const known = client;
  checks.push(await look("stamps", async () => await stamps(known, io.signal)));
  checks.push(...(await catchAlls(known, io.signal, nowMs)));
  return checks;
}

async function router(io: Io, state: StateDir): Promise<Omit<Check, "name">> {
  const recorded = readRecorded(state.routerFile);
  if (recorded === undefined) return { level: "warn", found: "never ran here", mend: "Start it with `stampyard up`." };
  if (!recorded.alive) return { level: "fail", found: "is not running", mend: "Start it with `stampyard up`." };
  const url = `${recorded.adminUrl ?? recorded.url}/readyz`;
  const response = await io.fetch(url, { signal: AbortSignal.any([io.signal, AbortSignal.timeout(5_000)]) });
  await response.body?.cancel();
  if (response.ok) return { level: "ok", found: `${recorded.url}` };
  return { level: "fail", found: `answers ${response.status}`, mend: `Read ${state.routerLog}.` };
}

async function stamps(client: Client, signal: AbortSignal): Promise<Omit<Check, "name">> {
  const all = await client.all("stampList", { query: { limit: 500 }, signal });
  const sick = all.filter(
    (stamp) => stamp.goal !== "absent" && !["active", "cordoned", "draining", "empty"].includes(stamp.phase),
  );
  if (sick.length === 0) return { level: "ok", found: `${all.length} stamps, all serving` };
  const found = sick.map((stamp) => `${stamp.name} is ${stamp.phase}`).join(", ");
  return { level: "warn", found, mend: "Look with `stampyard stamp list` and `stampyard stamp logs STAMP`." };
}

async function catchAlls(client: Client, signal: AbortSignal, nowMs: number): Promise<readonly Check[]> {
  const fleet = await client.fleetGet({ signal }).catch(() => undefined);
  return fleet === undefined ? [] : catchAllChecks(fleet, nowMs);
}

const dayMs = 86_400_000;

/** A catch-all is a declared hole in the walls: it is shown as long as it is there, and louder near its end. */
export function catchAllChecks(fleet: Pick<FleetView, "pools">, nowMs: number): readonly Check[] {
  return fleet.pools.flatMap((pool): Check[] => {
    if (pool.catchAll === undefined) return [];
    const { stamp, until } = pool.catchAll;
    const name = `catch-all of pool ${pool.name}`;
    // `until` is the last day, so it ends with that day, UTC.
    const daysLeft = Math.ceil((Date.parse(`${until}T00:00:00Z`) + dayMs - nowMs) / dayMs);
    if (!(daysLeft > 0)) {
      return [
        {
          name,
          level: "fail",
          found: `${stamp} ended on ${until}: requests nobody claims get 404`,
          mend: "Register those tenants, or move the date in the fleet file.",
        },
      ];
    }
    const found = `${stamp} takes what no tenant claims until ${until}, ${daysLeft} days`;
    if (daysLeft > 14) return [{ name, level: "ok", found }];
    return [{ name, level: "warn", found, mend: "Register its tenants before that day." }];
  });
}
