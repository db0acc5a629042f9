import type { AppliedView, Client, PlanView, StampView } from "@stampyard/api";
import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import type { ManifestTexts } from "../manifest-files.ts";
import type { NodeState, ProgressNode } from "../output/progress-tree.ts";
import { waitFor } from "../process/wait.ts";
import { makeStateDir, type StateDir } from "../state-dir.ts";
import { watchStamps } from "./follow.ts";
import { waitUntilServed } from "./served.ts";
import { ensureControlPlane, ensureRouter, type ListenPorts, requireFreePorts, waitForAdminToken } from "./services.ts";

export interface BringUpOptions {
  readonly state: StateDir;
  readonly manifests: ManifestTexts;
  readonly ports: ListenPorts;
  readonly timeoutMs: number;
  /** Command that goes on after a failure. */
  readonly again: string;
  readonly show: (nodes: readonly ProgressNode[]) => void;
  /** Returns when a rollout that the files began has ended well. @default nobody waits for it */
  readonly follow?: (client: Client, rollout: string, options: FollowRelease) => Promise<void>;
}

export interface FollowRelease {
  readonly timeoutMs: number;
  readonly show: (nodes: readonly ProgressNode[]) => void;
}

export interface BroughtUp {
  readonly client: Client;
  readonly api: string;
  readonly router: string;
  readonly routerAdmin: string | undefined;
  readonly plan: PlanView;
  readonly stamps: readonly StampView[];
  /** What was started now; empty if all ran already. */
  readonly started: readonly ("control plane" | "router")[];
}

/**
 * Store, control plane, router, files, stamps: each step first looks what is there, so that it can be repeated after a
 * failure, a Ctrl-C or a power cut, and then does only what is missing.
 */
export async function bringUp(io: Pick<Io, "fetch" | "signal" | "env">, options: BringUpOptions): Promise<BroughtUp> {
  const { state, ports } = options;
  const deadline = performance.now() + options.timeoutMs;
  const left = () => Math.max(1_000, deadline - performance.now());
  const steps = stepTree(options.show);
  makeStateDir(state);
  await requireFreePorts(state, ports);

  steps.set("control plane", "working", "store and API");
  const controlPlane = await steps.guard("control plane", ensureControlPlane(io, state, ports.api, left()));
  const token = await steps.guard("control plane", waitForAdminToken(state, left(), io.signal));
  const { createClient } = await import("@stampyard/api");
  const client = createClient({ url: controlPlane.url, token, fetch: io.fetch });
  steps.set("control plane", "working", "its turn to lead");
  await steps.guard("control plane", waitForLead(client, left(), io.signal));
  steps.set("control plane", "done", controlPlane.url);

  steps.set("files", "working", "plan");
  const { plan, rollout } = await steps.guard("files", applyFiles(client, options.manifests, io.signal));
  steps.set("files", "done", plan.changes.length === 0 ? "nothing to change" : `${plan.changes.length} changes`);

  steps.set("router", "working", undefined);
  const router = await steps.guard("router", ensureRouter(io, state, controlPlane.url, ports, left()));
  steps.set("router", "done", router.url);

  if (rollout !== undefined) {
    await options.follow?.(client, rollout, { timeoutMs: left(), show: (nodes) => steps.show(nodes) });
  }
  const wanted = { timeoutMs: left(), again: options.again };
  await watchStamps(client, wanted, io.signal, (nodes) => steps.show(nodes));
  const tell = (missing: string) => steps.set("router", "working", missing);
  const served = { timeoutMs: left(), again: options.again, tell };
  const stamps = await steps.guard("router", waitUntilServed(io, client, router.adminUrl, served));
  steps.set("router", "done", router.url);
  return {
    client,
    api: controlPlane.url,
    router: router.url,
    routerAdmin: router.adminUrl,
    plan,
    stamps,
    started: [
      ...(controlPlane.started ? ["control plane" as const] : []),
      ...(router.started ? ["router" as const] : []),
    ],
  };
}

/**
 * After a kill -9 the lease of the dead one has to run out first. Where another control plane leads for good, this one
 * stands by, and commands must go to the other.
 */
export async function waitForLead(client: Client, timeoutMs: number, signal: AbortSignal): Promise<void> {
  let leader: string | undefined;
  const leads = await waitFor(
    async () => {
      const status = await client.status({ signal });
      leader = status.leader;
      return status.role === "leader" ? true : undefined;
    },
    { timeoutMs: Math.min(timeoutMs, leadWithinMs), signal },
  );
  if (leads === true) return;
  throw new CommandFailure(
    "NOT_LEADER",
    `Another control plane leads this fleet: ${leader ?? "its name is not known"}`,
    {
      mend: "Send commands to that one with --server, or stop it.",
    },
  );
}

/** Longer than any lease. */
const leadWithinMs = 30_000;

/** Applies what was planned, and nothing else: a fleet that moved on in between is planned again. */
async function applyFiles(
  client: Client,
  manifests: ManifestTexts,
  signal: AbortSignal,
): Promise<Pick<AppliedView, "plan" | "rollout">> {
  for (let attempt = 1; ; attempt++) {
    const plan = await client.plan({ body: manifests, signal });
    if (plan.changes.length === 0) return { plan };
    try {
      const body = { ...manifests, expectedFleetRevision: plan.fleetRevision };
      return await client.apply({ body, signal });
    } catch (error) {
      if ((error as { code?: unknown }).code !== "STALE_REVISION" || attempt === 3) throw error;
    }
  }
}

function stepTree(show: (nodes: readonly ProgressNode[]) => void) {
  let stamps: readonly ProgressNode[] = [];
  const steps = new Map<string, ProgressNode>(
    ["control plane", "files", "router"].map((label) => [label, { label, state: "waiting" }]),
  );
  const set = (label: string, state: NodeState, detail: string | undefined) => {
    steps.set(label, { label, state, ...(detail === undefined ? {} : { detail }) });
    show([...steps.values(), ...stamps]);
  };
  return {
    set,
    show: (nodes: readonly ProgressNode[]) => {
      stamps = nodes;
      show([...steps.values(), ...stamps]);
    },
    guard: async <T>(label: string, work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        set(label, "failed", undefined);
        throw error;
      }
    },
  };
}
