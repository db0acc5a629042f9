import { readdirSync, readFileSync } from "node:fs";
import { Agent } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { SeededRandom } from "@stampyard/testing";
import { type Level, levels } from "./app/transact.ts";
import { send } from "./clients.ts";
import { monotonicMs, type Op } from "./history.ts";
import { type HistoryFleet, type Part, until, untilAlive } from "./history-fleet.ts";

/** What was done to the fleet, from when to when anybody may have noticed. */
export interface Strike {
  readonly what: string;
  readonly from: number;
  to: number;
}

export interface Battlefield {
  readonly fleet: HistoryFleet;
  readonly random: SeededRandom;
  /** A tenant that stays, per stamp. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** Writes of ours, that no client knows of. */
  readonly ops: Op[];
  readonly strikes: Strike[];
  /** What must not have happened. */
  readonly problems: string[];
  readonly log: (line: string) => void;
}

/** The move that it happens to. */
export interface Victim {
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
}

type Blow = (field: Battlefield, victim: Victim) => Promise<void>;

const db = (stamp: string): Part => ({ kind: "component", stamp, component: "db" });
const app = (stamp: string): Part => ({ kind: "component", stamp, component: "api" });

/** Everything that may happen to a move, by name. */
export const blows = {
  "kill source postgres": (field, { from }) => kill(field, db(from), [from]),
  "kill target postgres": (field, { to }) => kill(field, db(to), [to]),
  "kill router worker": (field) => kill(field, { kind: "router-worker" }, everywhere(field)),
  "kill control plane": (field) => killControlPlane(field),
  "kill source host": (field, { from }) => kill(field, { kind: "host", stamp: from }, []),
  "kill target host": (field, { to }) => kill(field, { kind: "host", stamp: to }, []),
  "kill source application": (field, { from }) => kill(field, app(from), [from]),
  "restart target application": (field, { to }) => kill(field, app(to), [to], "SIGTERM"),
  "stop source postgres": (field, { from }) => standStill(field, db(from), [from]),
  "stop target postgres": (field, { to }) => standStill(field, db(to), [to]),
  "stop router worker": (field) => standStill(field, { kind: "router-worker" }, everywhere(field)),
  "stop control plane": (field) => standStill(field, { kind: "control-plane" }, []),
  "stop source host": (field, { from }) => standStill(field, { kind: "host", stamp: from }, []),
  "stop source application": (field, { from }) => standStill(field, app(from), [from]),
  "long transactions": (field, victim) => longTransactions(field, victim),
  "changes of tables": (field, victim) => changeTables(field, victim),
} as const satisfies Record<string, Blow>;
export type BlowName = keyof typeof blows;
export const blowNames = Object.keys(blows) as readonly BlowName[];

/** Deals one blow, and returns when what it hit works again. */
export async function strike(field: Battlefield, name: BlowName, victim: Victim): Promise<void> {
  field.log(`  ${name}`);
  await blows[name](field, victim);
}

function everywhere({ neighbours }: Battlefield): readonly string[] {
  return [...neighbours.keys()];
}

/** What hits no stamp's way to its clients gives nobody a reason to fail. */
async function during(
  field: Battlefield,
  what: string,
  stamps: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  if (stamps.length === 0) return await work();
  const hit: Strike = { what, from: monotonicMs(), to: Number.POSITIVE_INFINITY };
  field.strikes.push(hit);
  try {
    await work();
  } finally {
    hit.to = monotonicMs();
  }
}

async function kill(
  field: Battlefield,
  part: Part,
  stamps: readonly string[],
  signal: NodeJS.Signals = "SIGKILL",
): Promise<void> {
  const { fleet } = field;
  const pid = fleet.pidOf(part);
  if (pid === undefined) return;
  await during(field, `${signal} ${part.kind}`, stamps, async () => {
    process.kill(pid, signal);
    await untilAlive(fleet, part, pid);
    for (const stamp of stamps) await untilServed(field, stamp);
  });
}

/** Nobody supervises it: whoever runs a fleet on one machine starts it again. */
async function killControlPlane(field: Battlefield): Promise<void> {
  const pid = field.fleet.pidOf({ kind: "control-plane" });
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  await delay(field.random.int(0, 1_500));
  await field.fleet.up();
}

/** Long enough to be missed, and shorter than a router waits for the sign of life of a worker. */
async function standStill(field: Battlefield, part: Part, stamps: readonly string[]): Promise<void> {
  const pid = field.fleet.pidOf(part);
  if (pid === undefined) return;
  const pids = [pid, ...(part.kind === "component" && part.component === "db" ? childrenOf(pid) : [])];
  await during(field, `SIGSTOP ${part.kind}`, stamps, async () => {
    for (const one of pids) signalOf(one, "SIGSTOP");
    await delay(field.random.int(200, 1_500));
    for (const one of pids) signalOf(one, "SIGCONT");
    for (const stamp of stamps) await untilServed(field, stamp);
  });
}

function signalOf(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Ended by itself.
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(parent) ? [Number(pid)] : [];
      } catch {
        return [];
      }
    });
}

/** A neighbour of that stamp is served again, through every worker of the router that may have been hurt. */
async function untilServed({ fleet, neighbours }: Battlefield, stamp: string): Promise<void> {
  const tenant = neighbours.get(stamp) ?? "";
  const probe = { client: "probe", tenant, kind: "read", key: "none", value: "", level: "read committed" } as const;
  let well = 0;
  await until(
    `stamp ${stamp} to serve ${tenant} again`,
    async () => {
      // A connection of its own each time, so that each may meet another worker.
      const agent = new Agent();
      const { outcome } = await send(agent, fleet.router, probe);
      agent.destroy();
      well = outcome === "ok" ? well + 1 : 0;
      return well >= 4 ? true : undefined;
    },
    90_000,
  );
}

/** Transactions of every level that began before, and write when much may have happened since. */
async function longTransactions(field: Battlefield, { tenant, from }: Victim): Promise<void> {
  const { random } = field;
  await Promise.all(
    levels.flatMap((level) => [
      longTransaction(field, { tenant, from, level, holdMs: random.int(100, 1_200), writesFirst: false }),
      longTransaction(field, { tenant, from, level, holdMs: random.int(50, 400), writesFirst: true }),
    ]),
  );
}

interface Long {
  readonly tenant: string;
  readonly from: string;
  readonly level: Level;
  readonly holdMs: number;
  /** Its row is written at the start, and committed late; otherwise the snapshot is taken early, and the row written late. */
  readonly writesFirst: boolean;
}

async function longTransaction(field: Battlefield, { tenant, from, level, holdMs, writesFirst }: Long): Promise<void> {
  const value = `long-${tenant}-${level.replace(" ", "-")}-${field.ops.length}-${field.random.int(0, 1e9)}`;
  const start = monotonicMs();
  let isCommitting = false;
  let outcome: Op["outcome"] = "fail";
  let code: string | undefined;
  try {
    const client = await field.fleet.connect(from, "stampyard_app");
    try {
      await client.query(`begin isolation level ${level}`);
      await client.query("select count(*) from lists where tenant_id = $1", [tenant]);
      if (!writesFirst) await delay(holdMs);
      await client.query("update lists set length = length + 1 where tenant_id = $1 and name = 'long'", [tenant]);
      const { rowCount } = await client.query(
        "insert into entries (tenant_id, list, value, stamp) select tenant_id, name, $2, $3 from lists where tenant_id = $1 and name = 'long'",
        [tenant, value, from],
      );
      if (writesFirst) await delay(holdMs);
      isCommitting = true;
      const { command } = await client.query("commit");
      // A tenant that is not here any more has no list here.
      outcome = command === "COMMIT" && rowCount === 1 ? "ok" : "fail";
    } finally {
      await client.end();
    }
  } catch (caught) {
    const isRefused = caught instanceof Error && "severity" in caught && caught.severity === "ERROR";
    outcome = isCommitting && !isRefused ? "unknown" : "fail";
    code = caught instanceof Error && "code" in caught ? String(caught.code) : String(caught);
  }
  const known = { client: "long", tenant, kind: "append", key: "long", value, start, stamp: from } as const;
  field.ops.push({ ...known, end: monotonicMs(), outcome, ...(code === undefined ? {} : { code }) });
}

/** As the role that owns the tables; undone where nothing refused it. During a move it must be refused. */
async function changeTables(field: Battlefield, { tenant, from }: Victim): Promise<void> {
  const tries = ["truncate entries", "alter table entries add column nemesis int", "truncate blobs, registers"];
  const owner = await field.fleet.connect(from, "stampyard_owner");
  try {
    for (const sql of tries) {
      const before = await moveOf(owner, tenant);
      await owner.query("begin; set local lock_timeout = '100ms'");
      const refusal = await owner.query(sql).then(
        () => undefined,
        (error: { code?: string }) => error.code ?? "unknown",
      );
      await owner.query("rollback");
      const after = await moveOf(owner, tenant);
      if (before !== undefined && before === after && refusal === undefined) {
        field.problems.push(`${sql} was let through during move ${before}`);
      }
    }
  } catch (caught) {
    field.log(`  tables could not be changed: ${String(caught)}`);
  } finally {
    await owner.end();
  }
}

async function moveOf(
  db: { query(sql: string, values: string[]): Promise<{ rows: { move_id?: string }[] }> },
  tenant: string,
): Promise<string | undefined> {
  const { rows } = await db.query(
    "select move_id from stampyard.tenant_home where tenant = $1 and state in ('active', 'fenced') and not coalesce((to_jsonb(tenant_home) ->> 'watching')::boolean, false)",
    [tenant],
  );
  return rows[0]?.move_id ?? undefined;
}
