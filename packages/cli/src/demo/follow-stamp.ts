import { CommandFailure } from "../failure.ts";
import { waitFor } from "../process/wait.ts";
import { isReady, whatIsMissing } from "../up/stamp-nodes.ts";
import type { DemoContext } from "./actions.ts";

const patienceMs = 120_000;

/** Tells what a stamp waits for until it is ready. */
export async function followDemoStamp(context: DemoContext, name: string): Promise<void> {
  const { stage, signal, say } = context;
  let told: string | undefined;
  // What was seen just before a kill may still be the last word for a moment, so ready counts from the second look.
  let ready = 0;
  const done = await waitFor(
    async () => {
      const stamp = await stage.client.stampGet({ params: { name }, signal });
      ready = isReady(stamp) ? ready + 1 : 0;
      if (ready >= 5) return true;
      const missing = ready > 0 ? undefined : whatIsMissing(stamp);
      if (missing !== undefined && missing !== told) say(`${name} is not ready yet: ${missing}`);
      told = missing ?? told;
      return undefined;
    },
    { timeoutMs: patienceMs, signal, everyMs: 200 },
  );
  if (done === undefined) throw new CommandFailure("TIMEOUT", `Stamp ${name} is still not ready`);
}
