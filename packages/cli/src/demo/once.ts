import { setTimeout as sleep } from "node:timers/promises";
import { waitUntilBack } from "./back.ts";
import { killControlPlane, killStamp } from "./damage.ts";
import { type MovedTenant, movedText, moveTenant } from "./move-tenant.ts";
import { type DemoReport, phaseRows } from "./report.ts";
import type { Stage } from "./stage.ts";
import { createTally, emptyCount, merge, type Phase, type Tally } from "./tally.ts";
import { createTenant, demoTenants } from "./tenants.ts";
import { readNoteIds, startTraffic, type Traffic } from "./traffic.ts";

export interface OnceOptions {
  readonly stage: Stage;
  readonly startedAt: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** How long each phase lasts. Long enough for every tenant to be served some twenty times. */
const steadyMs = 2_000;
const withoutControlPlaneMs = 4_000;
const afterMs = 2_000;
const backWithinMs = 30_000;

/** The whole story without a person: move a tenant under load, kill the control plane, then a stamp, and count who noticed. */
export async function runOnce(options: OnceOptions): Promise<DemoReport> {
  const { stage, signal, say } = options;
  const tally = createTally();
  let phase: Phase = "steady";
  const traffic = startTraffic({ routerPort: stage.ports.router, phase: () => phase, onOutcome: tally.add });
  const timings: { upMs: number; controlPlaneBackMs?: number; stampBackMs?: number } = {
    upMs: performance.now() - options.startedAt,
  };
  const homes: Record<string, string> = {};
  let moved: MovedTenant | undefined;
  let victim: string | undefined;
  let failure: string | undefined;
  try {
    for (const tenant of await Promise.all(demoTenants.map((key) => createTenant(stage.client, key, signal)))) {
      homes[tenant.key] = tenant.stamp;
      traffic.add(tenant.key, tenant.stamp);
    }
    say(`Traffic of ${demoTenants.length} tenants on ${new Set(Object.values(homes)).size} stamps`);
    await sleep(steadyMs, undefined, { signal });

    phase = "moving";
    moved = await moveTenant({ stage, traffic, signal, say }, demoTenants[1] ?? "");
    homes[moved.tenant] = moved.to;
    say(movedText(moved));

    phase = "control-plane-dead";
    say(`Control plane killed (kill -9 ${killControlPlane(stage.state).pid}); traffic goes on`);
    await sleep(withoutControlPlaneMs, undefined, { signal });
    phase = "control-plane-back";
    const restarted = performance.now();
    await stage.restartControlPlane();
    timings.controlPlaneBackMs = performance.now() - restarted;
    say("Control plane is back");
    await sleep(1_000, undefined, { signal });

    victim = homes[demoTenants[0] ?? ""] ?? "";
    phase = "stamp-dead";
    const killed = performance.now();
    const processes = await killStamp(stage.state, victim, signal);
    say(`Stamp ${victim} killed (kill -9 of ${processes} processes)`);
    const mine = Object.keys(homes).filter((tenant) => homes[tenant] === victim);
    const back = await waitUntilBack(stage, victim, mine, { timeoutMs: backWithinMs, signal });
    if (back) timings.stampBackMs = performance.now() - killed;
    say(timings.stampBackMs === undefined ? `Stamp ${victim} did not come back` : `Stamp ${victim} is back`);
    phase = "after";
    await sleep(afterMs, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    failure = (error as Error).message;
  } finally {
    await traffic.stop();
  }
  return {
    victim,
    stamps: stage.fleet.stamps.map((stamp) => stamp.name).sort(),
    homes,
    rows: phaseRows(tally),
    ...(moved === undefined ? {} : { move: { ...moved, neighbours: neighboursOf(tally, moved.tenant) } }),
    writes: await countWrites(stage.ports.router, traffic),
    timings: { ...timings, totalMs: performance.now() - options.startedAt },
    ...(failure === undefined ? {} : { failure }),
  };
}

/** What everybody else noticed of a move. */
function neighboursOf(tally: Tally, moved: string): { readonly requests: number; readonly errors: number } {
  const total = emptyCount();
  for (const tenant of tally.tenants().keys()) if (tenant !== moved) merge(total, tally.of("moving", tenant));
  const { requests, errors } = total;
  return { requests, errors };
}

async function countWrites(port: number, traffic: Traffic): Promise<DemoReport["writes"]> {
  let acknowledged = 0;
  let found = 0;
  for (const [tenant, ids] of traffic.acknowledged()) {
    const there = await readNoteIds(port, tenant);
    acknowledged += ids.length;
    found += ids.filter((id) => there?.has(id) === true).length;
  }
  return { acknowledged, found };
}
