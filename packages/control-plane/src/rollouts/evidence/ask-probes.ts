import type { GateProbe, Instant, Rollout, RolloutMember, SignalResult } from "@stampyard/domain";
import { askRepeatedly } from "./ask-repeatedly.ts";
import type { EvidenceMemory } from "./evidence-memory.ts";
import { probeByCommand } from "./probe-command.ts";
import { probeByHttp } from "./probe-http.ts";
import type { EvidenceDeps } from "./run-evidence.ts";

export interface Asking {
  readonly memory: EvidenceMemory;
  readonly rollout: Rollout;
  readonly member: RolloutMember;
  readonly now: Instant;
}

/** What the probes of the gate said last of one updated member. */
export function askProbes(deps: EvidenceDeps, about: Asking): readonly SignalResult[] {
  const { memory, rollout, member, now } = about;
  return rollout.strategy.gate.probes.map((probe) => {
    const key = `${rollout.id} ${member.stamp} probe/${probe.name}`;
    const ask = () => askOne(deps, probe, member);
    return askRepeatedly(memory, deps.clock, { key, name: probe.name, now, ask });
  });
}

async function askOne(deps: EvidenceDeps, probe: GateProbe, member: RolloutMember): Promise<SignalResult> {
  try {
    return probe.kind === "http"
      ? await probeByHttp(deps, probe, member.stamp)
      : await probeByCommand(deps, probe, { stamp: member.stamp, release: member.to.release });
  } catch (caught) {
    // What went wrong on our side says nothing of the member.
    const text = caught instanceof Error ? caught.message : "could not be asked";
    return { name: probe.name, ok: undefined, text: text.slice(0, 300) };
  }
}
