import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RolloutDetailView, RolloutMemberView } from "../../packages/api/src/index.ts";
import { until } from "../light-fleet.ts";
import { good, type Variant, writeRelease } from "./faults/releases.ts";

/** A fleet of the notes application on real parts, whose releases go by rollouts that are quick to judge. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface RolloutFleetOptions {
  readonly name: string;
  readonly stamps: number;
  /** Tenants of each stamp. */
  readonly tenants: number;
  /** `rollout:` of fleet.yaml, indented by two. Absent = as a fleet that says nothing of it. */
  readonly strategy?: string;
  /** Root of a checkout whose programs are run. @default this one */
  readonly checkout?: string;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RolloutFleet extends AsyncDisposable {
  readonly dir: string;
  readonly state: string;
  readonly router: string;
  readonly api: string;
  /** Tenant → the stamp that it lives on. */
  readonly homes: ReadonlyMap<string, string>;
  readonly stamps: readonly string[];
  /** Another checkout's programs from now on. */
  use(checkout: string): void;
  run(...argv: string[]): Promise<Ran>;
  /** @throws Error with what it said, unless it ended well */
  json<T>(...argv: string[]): Promise<T>;
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  up(): Promise<void>;
  /** Puts these files where the fleet's template is. */
  write(variant: Variant): void;
  /** Applies the release. @returns the rollout that it began */
  apply(variant: Variant): Promise<RolloutDetailView>;
  rollout(id: string): Promise<RolloutDetailView>;
  members(id: string): Promise<readonly RolloutMemberView[]>;
  /** Waits until it has ended or waits for a person. */
  settled(id: string, withinMs: number): Promise<RolloutDetailView>;
}

export async function rolloutFleet(options: RolloutFleetOptions): Promise<RolloutFleet> {
  const dir = mkdtempSync(join(tmpdir(), `stampyard-${options.name}-`));
  // Where we are root, stamps run under users of their own, and reach their files only if they can pass through.
  chmodSync(dir, 0o755);
  const state = join(dir, "state");
  const homes = new Map<string, string>();
  let checkout = options.checkout ?? root;
  let addresses = { router: "", api: "" };
  // Spans of a second instead of five: what needs a minute of evidence then needs some seconds.
  const env = { ...process.env, STAMPYARD_STATE: state, STAMPYARD_EVIDENCE_MS: "1000", NO_COLOR: "1" };
  const run = (...argv: string[]) =>
    new Promise<Ran>((settle) => {
      const cli = join(checkout, "packages/cli/bin/stampyard.js");
      execFile(process.execPath, [cli, ...argv], { cwd: dir, env, timeout: 240_000 }, (error, out, err) => {
        settle({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
      });
    });
  const json = async <T>(...argv: string[]): Promise<T> => {
    const { code, out, err } = await run(...argv, "-o", "json");
    if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${err}`);
    return JSON.parse(out) as T;
  };
  const write = (variant: Variant) => writeRelease(join(dir, "app"), variant);
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const token = readFileSync(join(state, "secrets/admin.token"), "utf8").trim();
    const answer = await fetch(`${addresses.api}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      signal: AbortSignal.timeout(10_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  };
  const latest = async () =>
    (await call<{ items: RolloutDetailView[] }>("GET", "/v1/rollouts?limit=1")).items[0]?.id ?? "";
  const fleet: RolloutFleet = {
    dir,
    state,
    homes,
    get stamps() {
      return [...new Set(homes.values())].sort();
    },
    get router() {
      return addresses.router;
    },
    get api() {
      return addresses.api;
    },
    use(other) {
      checkout = other;
    },
    run,
    json,
    call,
    write,
    async up() {
      addresses = await json("up", "--port", "0", "--api-port", "0", "--admin-port", "0");
    },
    async apply(variant) {
      write(variant);
      const before = await latest();
      await json("apply");
      const id = await until("a rollout to begin", async () => {
        const now = await latest();
        return now === before ? undefined : now;
      });
      return await fleet.rollout(id);
    },
    rollout: (id) => call("GET", `/v1/rollouts/${id}`),
    members: async (id) => (await call<{ items: RolloutMemberView[] }>("GET", `/v1/rollouts/${id}/members`)).items,
    settled: (id, withinMs) =>
      until(
        `rollout ${id} to end`,
        async () => {
          const rollout = await fleet.rollout(id);
          return ["done", "aborted", "superseded", "paused", "approval"].includes(rollout.phase) ? rollout : undefined;
        },
        withinMs,
      ),
    async [Symbol.asyncDispose]() {
      if (process.env["STAMPYARD_KEEP"] !== undefined) return;
      const down = existsSync(state) ? await run("down", "--destroy", "--yes") : undefined;
      rmSync(dir, { recursive: true, force: true });
      if (down !== undefined && down.code !== 0) throw new Error(`down ended with ${down.code}: ${down.err}`);
    },
  };
  try {
    writeFileSync(join(dir, "fleet.yaml"), fleetYaml(options));
    write(good);
    await fleet.up();
    await settleTenants(fleet, homes, options);
    return fleet;
  } catch (caught) {
    await Promise.resolve(fleet[Symbol.asyncDispose]()).catch(() => {});
    throw caught;
  }
}

/** So many tenants on each stamp. */
async function settleTenants(
  fleet: RolloutFleet,
  homes: Map<string, string>,
  { stamps, tenants }: RolloutFleetOptions,
): Promise<void> {
  const made = Array.from({ length: stamps * tenants }, async (_, index) => {
    const stamp = `shared-${(index % stamps) + 1}`;
    const key = `tenant-${index + 1}`;
    // Waits for the routers, too.
    await fleet.call("POST", "/v1/tenants?wait=30000", { key, stamp });
    homes.set(key, stamp);
  });
  await Promise.all(made);
}

function fleetYaml({ name, stamps, strategy }: RolloutFleetOptions): string {
  return `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: ${name} }
template: ./app/stamp.yaml
pools:
  shared: { regions: [eu], stamps: { min: ${stamps}, max: ${stamps} } }
routing:
  domains: [localhost]
${strategy === undefined ? "" : `rollout:\n${strategy}`}`;
}
