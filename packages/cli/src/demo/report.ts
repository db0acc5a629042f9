import { table } from "../output/table.ts";
import type { MovedTenant } from "./move-tenant.ts";
import { type Count, emptyCount, merge, type Phase, type Tally } from "./tally.ts";

export interface PhaseRow extends Count {
  readonly phase: Phase;
  readonly stamp: string;
}

export interface DemoReport {
  /** The stamp that was killed as a whole; undefined if the run did not come that far. */
  readonly victim: string | undefined;
  readonly stamps: readonly string[];
  /** tenant → home stamp. */
  readonly homes: Readonly<Record<string, string>>;
  /** Requests and errors per phase and stamp. */
  readonly rows: readonly PhaseRow[];
  /** A move under load, and what its neighbours noticed of it; undefined if the run did not come that far. */
  readonly move?: MovedTenant & { readonly neighbours: { readonly requests: number; readonly errors: number } };
  /** Writes that were answered with success, and how many of them are there at the end. */
  readonly writes: { readonly acknowledged: number; readonly found: number };
  readonly timings: {
    readonly upMs: number;
    readonly controlPlaneBackMs?: number;
    readonly stampBackMs?: number;
    readonly totalMs: number;
  };
  /** Why the run ended early. */
  readonly failure?: string;
}

export interface DemoCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface Verdict {
  readonly held: boolean;
  readonly checks: readonly DemoCheck[];
}

export function phaseRows(tally: Tally): readonly PhaseRow[] {
  const stamps = [...new Set(tally.tenants().values())].sort();
  return tally.phases().flatMap((phase) =>
    stamps.map((stamp) => {
      const total = emptyCount();
      for (const [tenant, home] of tally.tenants()) if (home === stamp) merge(total, tally.of(phase, tenant));
      return { phase, stamp, ...total };
    }),
  );
}

/** Phases in which nobody may notice anything. */
const calm: readonly Phase[] = ["steady", "control-plane-dead", "control-plane-back", "after"];

/**
 * Whether the demo showed what it promises. Silence is not success: a phase without requests of some stamp's tenants
 * proves nothing, and fails.
 */
export function judgeDemo(report: DemoReport): Verdict {
  const checks: DemoCheck[] = [];
  const check = (name: string, ok: boolean, detail: string) => void checks.push({ name, ok, detail });
  if (report.failure !== undefined) check("the run came to its end", false, report.failure);

  const homes = new Set(Object.values(report.homes));
  const spread = report.stamps.length >= 3 && report.stamps.every((stamp) => homes.has(stamp));
  check(
    "tenants live on three stamps or more",
    spread,
    `${Object.keys(report.homes).length} tenants on ${homes.size} of ${report.stamps.length} stamps`,
  );

  for (const phase of calm) {
    const rows = report.rows.filter((row) => row.phase === phase);
    check(nameOf(phase), isServed(rows, report.stamps) && sum(rows).errors === 0, describe(rows, report.stamps));
  }

  checks.push(...judgeMove(report.move));

  const outage = report.rows.filter((row) => row.phase === "stamp-dead");
  const others = outage.filter((row) => row.stamp !== report.victim);
  const mine = outage.filter((row) => row.stamp === report.victim);
  const otherStamps = report.stamps.filter((stamp) => stamp !== report.victim);
  const victim = report.victim ?? "none";
  check(
    `stamp ${victim} killed: its own tenants notice`,
    sum(mine).errors > 0,
    describe(mine, report.victim === undefined ? [] : [report.victim]),
  );
  check(
    `stamp ${victim} killed: nobody else does`,
    isServed(others, otherStamps) && sum(others).errors === 0,
    describe(others, otherStamps),
  );
  check(
    "the killed stamp comes back by itself",
    report.timings.stampBackMs !== undefined,
    seconds(report.timings.stampBackMs),
  );

  const strays = sum(report.rows).strays;
  check("every answer came from the tenant's home", strays === 0, `${strays} strays`);
  const { acknowledged, found } = report.writes;
  check(
    "no acknowledged write is lost",
    acknowledged > 0 && found === acknowledged,
    `${found} of ${acknowledged} found`,
  );
  return { held: checks.every((one) => one.ok), checks };
}

/** The longest that clients may have to wait for a write; the move's own limit, and what a loaded laptop adds. */
const longestPauseMs = 3_000;

function judgeMove(move: DemoReport["move"]): readonly DemoCheck[] {
  if (move === undefined) return [{ name: "a tenant moves under load", ok: false, detail: "none did" }];
  const { tenant, from, to, acknowledged, found, twice, pauseMs, neighbours } = move;
  const name = `${tenant} moves from ${from} to ${to}`;
  return [
    {
      name: `${name}: each acknowledged write is there once`,
      ok: acknowledged > 0 && found === acknowledged && twice === 0,
      detail: `${found} of ${acknowledged} found, ${twice} twice`,
    },
    {
      name: `${name}: a short pause`,
      ok: pauseMs <= longestPauseMs,
      detail: `${Math.round(pauseMs)} ms as its clients saw it`,
    },
    {
      name: `${name}: nobody else notices`,
      ok: neighbours.requests > 0 && neighbours.errors === 0,
      detail: `${neighbours.requests} requests, ${neighbours.errors} errors`,
    },
  ];
}

function nameOf(phase: Phase): string {
  switch (phase) {
    case "steady":
      return "all well: no errors";
    case "control-plane-dead":
      return "control plane killed: no errors";
    case "control-plane-back":
      return "control plane back: no errors";
    default:
      return "afterwards: no errors";
  }
}

function isServed(rows: readonly PhaseRow[], stamps: readonly string[]): boolean {
  return stamps.length > 0 && stamps.every((stamp) => rows.some((row) => row.stamp === stamp && row.requests > 0));
}

function sum(rows: readonly PhaseRow[]): Count {
  const total = emptyCount();
  for (const row of rows) merge(total, row);
  return total;
}

function describe(rows: readonly PhaseRow[], stamps: readonly string[]): string {
  const { requests, errors, reasons, slowestMs } = sum(rows);
  const silent = stamps.filter((stamp) => !rows.some((row) => row.stamp === stamp && row.requests > 0));
  const why = Object.entries(reasons).map(([reason, times]) => `${times} ${reason}`);
  return [
    `${requests} requests, ${errors} errors`,
    ...(why.length === 0 ? [] : [`(${why.join(", ")})`]),
    ...(requests === 0 ? [] : [`slowest ${Math.round(slowestMs)} ms`]),
    ...(silent.length === 0 ? [] : [`no request for ${silent.join(", ")}`]),
  ].join(" ");
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "it did not" : `after ${(ms / 1000).toFixed(1)} s`;
}

export function reportText(report: DemoReport, verdict: Verdict): string {
  const rows = report.rows.map((row) => [
    row.phase,
    row.stamp,
    row.requests,
    row.errors,
    Math.round(row.slowestMs),
    Object.entries(row.reasons)
      .map(([reason, times]) => `${times} ${reason}`)
      .join(", "),
  ]);
  const lines = verdict.checks.map((check) => `${check.ok ? "held  " : "BROKEN"}  ${check.name}: ${check.detail}`);
  const { upMs, controlPlaneBackMs, stampBackMs, totalMs } = report.timings;
  const times = [
    `up ${(upMs / 1000).toFixed(1)} s`,
    ...(report.move === undefined ? [] : [`move ${(report.move.tookMs / 1000).toFixed(1)} s`]),
    ...(controlPlaneBackMs === undefined ? [] : [`control plane back ${(controlPlaneBackMs / 1000).toFixed(1)} s`]),
    ...(stampBackMs === undefined ? [] : [`stamp back ${(stampBackMs / 1000).toFixed(1)} s`]),
    `total ${(totalMs / 1000).toFixed(1)} s`,
  ];
  const end = verdict.held ? "Everything held" : "Not everything held";
  return `${table(["phase", "stamp", "requests", "errors", "slowest ms", "reasons"], rows)}\n${lines.join("\n")}\n\n${end} (${times.join(", ")})\n`;
}
