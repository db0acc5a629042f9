import { readRecorded } from "../state-dir.ts";
import { followDemoStamp } from "./follow-stamp.ts";
import { waitUntilBack } from "./back.ts";
import { stoppedText, tryBadRelease } from "./bad-release.ts";
import { killControlPlane, killStamp } from "./damage.ts";
import { movedText, moveTenant } from "./move-tenant.ts";
import type { Stage } from "./stage.ts";
import type { Phase, Tally } from "./tally.ts";
import { createTenant, demoTenants, nextTenant } from "./tenants.ts";
import type { Traffic } from "./traffic.ts";

/** What a key does; `say` tells it as it happens. */
export interface DemoContext {
  readonly stage: Stage;
  readonly traffic: Traffic;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  readonly setPhase: (phase: Phase) => void;
}

export interface DemoAction {
  readonly key: string;
  readonly does: string;
  readonly run: (context: DemoContext) => Promise<void>;
}

/** The demo's keys. One entry is one key: its handler, and its line in the help. */
export const demoActions: readonly DemoAction[] = [
  { key: "k", does: "kill -9 the control plane, or start it again", run: toggleControlPlane },
  { key: "s", does: "kill -9 a whole stamp", run: loseStamp },
  { key: "m", does: "move a tenant to another stamp under load, and back the next time", run: moveOne },
  { key: "b", does: "a bad release: stopped at the first stamp, and taken back by itself", run: releaseBadly },
  { key: "n", does: "another stamp", run: addStamp },
  { key: "t", does: "another tenant", run: addTenant },
];

async function toggleControlPlane({ stage, say, setPhase }: DemoContext): Promise<void> {
  if (hasControlPlane(stage)) {
    setPhase("control-plane-dead");
    const { pid } = killControlPlane(stage.state);
    say(`kill -9 ${pid}: the control plane is dead, and no request fails. k starts it again`);
    return;
  }
  say("Starting the control plane");
  await stage.restartControlPlane();
  setPhase("steady");
  say("The control plane is back, and found everything as it was");
}

async function loseStamp(context: DemoContext): Promise<void> {
  const { stage, tally, say, signal } = context;
  const stamps = [...new Set(tally.tenants().values())].sort();
  const victim = stamps[Math.floor(performance.now()) % stamps.length];
  if (victim === undefined) return;
  const tenants = [...tally.tenants()].filter(([, home]) => home === victim).map(([tenant]) => tenant);
  const started = performance.now();
  const count = await killStamp(stage.state, victim, signal);
  say(
    `kill -9 of ${count} processes: stamp ${victim} is dead. Only ${tenants.join(", ")} get 503, nobody else notices`,
  );
  if (!(await waitUntilBack(stage, victim, tenants, { timeoutMs: 120_000, signal }))) {
    say(`Stamp ${victim} is still not back; its logs: stampyard stamp logs ${victim}`);
    return;
  }
  say(`Stamp ${victim} is back after ${((performance.now() - started) / 1000).toFixed(1)} s, with all its data`);
}

async function moveOne(context: DemoContext): Promise<void> {
  const { stage, say } = context;
  if (!hasControlPlane(stage)) return say("Moves are driven by the control plane, which is dead: press k first");
  const moved = await moveTenant(context, demoTenants[0] ?? "");
  say(movedText(moved));
}

async function releaseBadly(context: DemoContext): Promise<void> {
  const { stage, say } = context;
  if (!hasControlPlane(stage)) return say("Rollouts are driven by the control plane, which is dead: press k first");
  say(stoppedText(await tryBadRelease(context)));
}

async function addStamp(context: DemoContext): Promise<void> {
  const { stage, say, signal } = context;
  if (!hasControlPlane(stage)) return say("Stamps are made by the control plane, which is dead: press k first");
  const started = performance.now();
  const stamp = await stage.client.stampCreate({ body: { pool: "shared" }, signal });
  say(`Making stamp ${stamp.name} in ${stamp.region}: PostgreSQL, Redis, NATS, api, worker, all its own`);
  await followDemoStamp(context, stamp.name);
  say(
    `Stamp ${stamp.name} is active after ${((performance.now() - started) / 1000).toFixed(1)} s; the next tenants go there`,
  );
}

async function addTenant({ stage, traffic, tally, say, signal }: DemoContext): Promise<void> {
  const started = performance.now();
  if (!hasControlPlane(stage)) return say("Tenants are placed by the control plane, which is dead: press k first");
  const key = nextTenant(new Set(tally.tenants().keys()));
  const tenant = await createTenant(stage.client, key, signal);
  traffic.add(tenant.key, tenant.stamp);
  const ms = Math.round(performance.now() - started);
  say(`Tenant ${key} lives on ${tenant.stamp} after ${ms} ms: http://${key}.localhost:${stage.ports.router}/`);
}

function hasControlPlane(stage: Stage): boolean {
  return readRecorded(stage.state.controlPlaneFile)?.alive === true;
}
