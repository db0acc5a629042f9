import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { identify, type ProcessIdentity } from "@stampyard/engines/process";
import type { Store } from "./store/port.ts";

/** Names this process in the lease: where it runs, who it is (decision D11), and a part that no other life has. */
export function leaseHolder(): string {
  const me = identify(process.pid);
  const who = me === undefined ? `unknown/${process.pid}/unknown` : whoIs(me);
  return [hostname(), who, randomBytes(6).toString("hex")].join("/");
}

function whoIs({ bootId, pid, startTime }: ProcessIdentity): string {
  return `${bootId}/${pid}/${startTime.replaceAll(" ", "_")}`;
}

/**
 * Ends the lease of a holder of this machine that is dead, so that a killed control plane's successor leads at once.
 * A mistake would be harmless: the token rises, and whoever had it is refused from then on (I28).
 */
export async function releaseDeadLease(store: Pick<Store, "lease">): Promise<void> {
  const lease = await store.lease.current();
  if (lease === undefined) return;
  const [host, boot, pid = "", start] = lease.holder.split("/");
  if (host !== hostname()) return;
  const now = identify(Number(pid));
  if (now === undefined || whoIs(now) !== `${boot}/${pid}/${start}`)
    await store.lease.release(lease.holder, lease.token);
}
