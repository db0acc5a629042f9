import { execFile } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";

/** A fleet of two stamps on real parts, whose application tells what became of every write. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const cli = join(root, "packages/cli/bin/stampyard.js");

export type DatabaseRole = "postgres" | "stampyard_owner" | "stampyard_app" | "stampyard_mover";
const secretOfRole: Readonly<Record<DatabaseRole, string>> = {
  postgres: "db.superPassword",
  stampyard_owner: "db.ownerPassword",
  stampyard_app: "db.appPassword",
  stampyard_mover: "db.moverPassword",
};

export interface HistoryFleet extends AsyncDisposable {
  readonly state: string;
  readonly journals: string;
  /** As it was told by the last `up`. */
  readonly router: string;
  /** Runs the command until it ends well. @throws Error with what it said */
  json<T>(...argv: string[]): Promise<T>;
  run(...argv: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }>;
  /** Starts whatever does not run, and waits for all of it. */
  up(): Promise<void>;
  /** An endpoint of the control plane. */
  call<T>(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<T>;
  databaseUrl(stamp: string, role: DatabaseRole): string;
  connect(stamp: string, role: DatabaseRole): Promise<pg.Client>;
  /** Processes of a stamp's component, or of the platform, that live now. */
  pidOf(part: Part): number | undefined;
}

export type Part =
  | { readonly kind: "component"; readonly stamp: string; readonly component: string }
  | { readonly kind: "host"; readonly stamp: string }
  | { readonly kind: "control-plane" }
  | { readonly kind: "router-worker" }
  | { readonly kind: "router" };

export interface FleetOptions {
  readonly name: string;
  /** Places of a stamp. @default 100 */
  readonly tenants?: number;
}

export async function historyFleet(options: FleetOptions): Promise<HistoryFleet> {
  const dir = mkdtempSync(join(tmpdir(), `stampyard-${options.name}-`));
  chmodSync(dir, 0o755);
  const state = join(dir, "state");
  const journals = join(dir, "journals");
  mkdirSync(journals);
  chmodSync(journals, 0o777);
  writeFileSync(join(dir, "fleet.yaml"), fleetYaml(options.name));
  // A release keeps what lies beside its template, and finds its packages above.
  cpSync(join(root, "test/moves/app"), join(dir, "app"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  writeFileSync(join(dir, "app/stamp.yaml"), stampYaml(journals, options.tenants ?? 100));
  const env = { ...process.env, STAMPYARD_STATE: state, NO_COLOR: "1" };
  const run = (...argv: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((settle) => {
      execFile(process.execPath, [cli, ...argv], { cwd: dir, env, timeout: 120_000 }, (error, out, err) => {
        settle({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
      });
    });
  const json = async <T>(...argv: string[]): Promise<T> => {
    const { code, out, err } = await run(...argv, "-o", "json");
    if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${err}`);
    return JSON.parse(out) as T;
  };
  const ports = () => ["--port", "0", "--api-port", "0", "--admin-port", "0"];
  let router = "";
  const fleet: HistoryFleet = {
    state,
    journals,
    get router() {
      return router;
    },
    run,
    json,
    async up() {
      router = (await json<{ router: string }>("up", ...ports())).router;
    },
    async call<T>(
      method: string,
      path: string,
      body?: unknown,
      headers: Readonly<Record<string, string>> = {},
    ): Promise<T> {
      const { url } = readJson<{ url: string }>(join(state, "control-plane.json"));
      const token = readFileSync(join(state, "secrets/admin.token"), "utf8").trim();
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...headers,
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: AbortSignal.timeout(10_000),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
      return (text === "" ? undefined : JSON.parse(text)) as T;
    },
    databaseUrl: (stamp, role) => databaseUrl(state, stamp, role),
    async connect(stamp, role) {
      const client = new pg.Client({ connectionString: databaseUrl(state, stamp, role), application_name: "history" });
      client.on("error", () => {});
      await client.connect();
      return client;
    },
    pidOf: (part) => pidOf(state, part),
    async [Symbol.asyncDispose]() {
      if (process.env["STAMPYARD_KEEP"] !== undefined) return;
      const down = existsSync(state) ? await run("down", "--destroy", "--yes") : undefined;
      rmSync(dir, { recursive: true, force: true });
      if (down !== undefined && down.code !== 0) throw new Error(`down ended with ${down.code}: ${down.err}`);
    },
  };
  await fleet.up();
  return fleet;
}

/** One tenant after the other, until two stamps have `perStamp` each. @returns tenants by stamp */
export async function settleTenants(fleet: HistoryFleet, perStamp: number): Promise<ReadonlyMap<string, string[]>> {
  const homes = new Map<string, string[]>();
  for (let n = 1; [...homes.values()].filter((all) => all.length >= perStamp).length < 2; n++) {
    if (n > perStamp * 8) throw new Error("Tenants do not spread over both stamps");
    const key = `tenant-${n}`;
    const { stamp } = await fleet.json<{ stamp: string }>("tenant", "create", key, "--wait");
    homes.set(stamp, [...(homes.get(stamp) ?? []), key]);
  }
  return homes;
}

/** Waits for a state. @throws Error naming it when it does not come in time */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>, withinMs = 20_000) {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await delay(20);
  }
}

/** Waits until something lives again under a new number. */
export function untilAlive(fleet: HistoryFleet, part: Part, other: number | undefined): Promise<number> {
  return until(
    `${part.kind} to live again`,
    () => {
      const pid = fleet.pidOf(part);
      return pid === other ? undefined : pid;
    },
    90_000,
  );
}

function pidOf(state: string, part: Part): number | undefined {
  const pid = recordedPid(state, part);
  return pid !== undefined && lives(pid) ? pid : undefined;
}

function recordedPid(state: string, part: Part): number | undefined {
  try {
    switch (part.kind) {
      case "control-plane":
        return readJson<{ pid: number }>(join(state, "control-plane.json")).pid;
      case "router":
        return readJson<{ pid: number }>(join(state, "router/router.json")).pid;
      case "router-worker":
        return readJson<{ workers: { pid: number }[] }>(join(state, "router/workers.json")).workers.find(({ pid }) =>
          lives(pid),
        )?.pid;
      case "component": {
        const { instances } = readJson<{
          instances: Record<string, { component: string; current?: { identity: { pid: number } } }>;
        }>(join(state, "stamps", part.stamp, "state.json"));
        return Object.values(instances).find(({ component }) => component === part.component)?.current?.identity.pid;
      }
      case "host":
        return hostPid(state, part.stamp);
    }
  } catch {
    // Written a moment later, or gone.
    return undefined;
  }
}

/** A host names its state directory and its stamp on its command line. */
function hostPid(state: string, stamp: string): number | undefined {
  const mine = [`"stateDir":"${state}"`, `"stamp":"${stamp}"`];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (line.includes("/host/main.js") && mine.every((text) => line.includes(text))) return Number(pid);
    } catch {
      // Ended while we looked.
    }
  }
  return undefined;
}

function lives(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !["Z", "X"].includes(stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3));
  } catch {
    return false;
  }
}

function databaseUrl(state: string, stamp: string, role: DatabaseRole): string {
  const dir = join(state, "stamps", stamp);
  const { secrets } = readJson<{ secrets: Record<string, string> }>(join(dir, "spec.json"));
  const config = readFileSync(join(dir, "data", "db", "postgresql.conf"), "utf8");
  const socket = /^unix_socket_directories = '(.*)'$/m.exec(config)?.[1] ?? "";
  const password = encodeURIComponent(secrets[secretOfRole[role]] ?? "");
  return `postgresql://${role}:${password}@localhost/app?host=${encodeURIComponent(socket)}`;
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, "utf8")) as T;
}

function fleetYaml(name: string): string {
  return `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: ${name} }
template: ./app/stamp.yaml
pools:
  shared: { regions: [eu], stamps: { min: 2, max: 2 } }
routing:
  domains: [localhost]
`;
}

function stampYaml(journals: string, tenants: number): string {
  const env = `DATABASE_URL: \${db.url}
      STAMP: \${stamp.name}`;
  return `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: history, version: 1.0.0 }
components:
  db: { kind: postgres, version: 18, fence: enforce }
  migrate:
    kind: job
    command: node migrate.ts
    env: { DATABASE_URL: "\${db.migrationUrl}" }
  api:
    kind: service
    command: node serve.ts
    port: auto
    health: { path: /healthz }
    env:
      ${env}
      ROUTE_KEYS: \${route.keys}
  batch:
    kind: service
    command: node batch.ts
    env:
      ${env}
      JOURNALS: ${journals}
ingress: { service: api }
capacity: { tenants: ${tenants} }
tenancy: { model: rows, column: tenant_id }
hooks:
  tenant.onCreate: { service: api, path: /hooks/created }
  tenant.onDelete: { service: api, path: /hooks/deleted }
`;
}
