import { findComponent, type Instant, type MemberSignals, signalsFreshMs } from "@stampyard/domain";
import type { EvidenceMemory } from "./evidence-memory.ts";
import { waitingInNats } from "./nats-lag.ts";
import type { EvidenceDeps, OpenRollout } from "./run-evidence.ts";

const everyMs = 5_000;
const answerWithinMs = 3_000;
/** Members of which queues are measured; those that are updated first come first. */
const mostMembers = 100;

/** Starts measuring what waits in members of rollouts whose gate asks for it, before their update and after it. */
export function measureLags(deps: EvidenceDeps, memory: EvidenceMemory, open: readonly OpenRollout[]): void {
  const now = deps.clock.now();
  for (const { rollout, members } of open) {
    if (rollout.strategy.gate.queueLag === undefined) continue;
    for (const { stamp } of members.slice(0, mostMembers)) {
      const known = memory.members.get(stamp);
      if (known === undefined || now - known.lagAskedAt < Math.min(everyMs, memory.spanMs)) continue;
      known.lagAskedAt = now;
      void waitingIn(deps, stamp).then((waiting) => {
        if (waiting === undefined) return;
        const at = deps.clock.now();
        // Of a canary that was updated at once there is none from before: the first one after stands in.
        if (known.begunAt === undefined || known.lagBefore === undefined) known.lagBefore = waiting;
        known.lag = { at, now: waiting };
      });
    }
  }
}

/** undefined while it cannot be measured. */
export function lagOf(memory: EvidenceMemory, stamp: string, now: Instant): MemberSignals["queueLag"] {
  const { lag, lagBefore } = memory.members.get(stamp) ?? {};
  if (lag === undefined || lagBefore === undefined || now - lag.at > signalsFreshMs) return undefined;
  return { now: lag.now, before: lagBefore };
}

/** Messages that consumers of the stamp's own NATS have not finished; undefined when it has none, or does not answer. */
async function waitingIn({ store, engine, specOf }: EvidenceDeps, stamp: string): Promise<number | undefined> {
  try {
    const row = await store.stamps.read(stamp);
    if (row === undefined || engine.facts === undefined) return undefined;
    const spec = await specOf(row.value);
    const brokers = findComponent(spec.rendered, "nats").filter(({ jetstream }) => jetstream);
    if (brokers.length === 0) return undefined;
    const facts = await engine.facts(stamp, AbortSignal.timeout(answerWithinMs));
    let waiting = 0;
    for (const { name } of brokers) {
      const port = facts.find((fact) => fact.kind === "port" && fact.component === name);
      const password = spec.secrets[`${name}.password`];
      if (port === undefined || password === undefined) return undefined;
      const at = { host: "127.0.0.1", port: Number(port.identity), user: "stampyard", password };
      waiting += await waitingInNats(at, answerWithinMs);
    }
    return waiting;
  } catch {
    // It is away or going; its health says so.
    return undefined;
  }
}
