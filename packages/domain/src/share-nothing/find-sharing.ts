import type { ResourceFact, SharedKind, StampFacts } from "./facts.ts";

/**
 * `shared` = two stamps depend on one thing, so its fault is both's. `declared-outside` = an external component names it:
 * known, and not the stamp's. `undeclared` = an address outside that no component declares. `advisory` = a wall that this
 * machine does not enforce.
 */
export type SharingVerdict = "shared" | "undeclared" | "declared-outside" | "advisory";

export interface SharingFinding {
  readonly verdict: SharingVerdict;
  readonly kind: SharedKind;
  /** In order of name; one alone for what only it uses outside. */
  readonly stamps: readonly string[];
  /** What it is, without secrets. */
  readonly what: string;
  /** Where it was found, without repetition. */
  readonly where: readonly string[];
  readonly mend: string;
}

export interface SharingReport {
  readonly stamps: number;
  /** The gravest first. */
  readonly findings: readonly SharingFinding[];
  /** Stamps of which something could not be looked at. */
  readonly unseen: readonly { readonly stamp: string; readonly why: string }[];
}

const gravity: readonly SharingVerdict[] = ["shared", "undeclared", "declared-outside", "advisory"];

interface Use {
  readonly stamp: string;
  readonly fact: ResourceFact;
}

/** Compares all stamps with all others, by what they have and use. Same facts, same report. */
export function findSharing(stamps: readonly StampFacts[]): SharingReport {
  const uses = new Map<string, Use[]>();
  for (const { stamp, facts } of stamps) {
    for (const fact of facts) {
      const key = `${fact.kind} ${fact.identity}`;
      const same = uses.get(key);
      if (same === undefined) uses.set(key, [{ stamp, fact }]);
      else same.push({ stamp, fact });
    }
  }
  const findings = [...uses.values()].flatMap((same) => findingOf(same) ?? []);
  findings.sort(
    (a, b) =>
      gravity.indexOf(a.verdict) - gravity.indexOf(b.verdict) || compare(a.kind, b.kind) || compare(a.what, b.what),
  );
  const unseen = stamps.flatMap(({ stamp, unseen: whys }) => whys.map((why) => ({ stamp, why })));
  return { stamps: stamps.length, findings, unseen };
}

function findingOf(uses: readonly Use[]): SharingFinding | undefined {
  const [first] = uses;
  if (first === undefined) return undefined;
  const stamps = [...new Set(uses.map((use) => use.stamp))].sort();
  const verdict = verdictOf(uses, stamps.length);
  if (verdict === undefined) return undefined;
  const { kind, shown } = first.fact;
  const why = uses.find((use) => use.fact.advisory !== undefined)?.fact.advisory;
  const names = [...new Set(uses.map((use) => use.fact.shown))].sort();
  const what = kind === "credential" ? names.join(", ") : shown;
  return {
    verdict,
    kind,
    stamps,
    what: verdict === "advisory" && why !== undefined ? `${what}: ${why}` : what,
    where: [...new Set(uses.map((use) => use.fact.where))].sort(),
    mend: mendOf(verdict, kind),
  };
}

/** Kinds that hold a tenant's data or its work: one for two stamps is one fault for both. */
const stores: ReadonlySet<SharedKind> = new Set(["database", "cache", "queue", "directory", "credential"]);

function verdictOf(uses: readonly Use[], stamps: number): SharingVerdict | undefined {
  const { kind } = uses[0]?.fact ?? {};
  if (uses.some((use) => use.fact.relation === "own")) {
    if (stamps < 2) return undefined;
    return uses.every((use) => use.fact.advisory !== undefined) ? "advisory" : "shared";
  }
  if (uses.some((use) => use.fact.relation === "declared"))
    return kind === "credential" ? undefined : "declared-outside";
  if (kind === "credential") return stamps < 2 ? undefined : "shared";
  return stamps > 1 && kind !== undefined && stores.has(kind) ? "shared" : "undeclared";
}

function mendOf(verdict: SharingVerdict, kind: SharedKind): string {
  switch (verdict) {
    case "undeclared":
      return "Declare it as an external component, so that plans, checks and readers know of it.";
    case "declared-outside":
      return "Nothing to mend: its faults reach every stamp that uses it.";
    case "advisory":
      return "See stampyard doctor for what makes this machine enforce it.";
    case "shared":
      return mends[kind];
  }
}

const mends: Readonly<Record<SharedKind, string>> = {
  database: "Give each stamp a database server of its own: a postgres component in the template.",
  cache: "Give each stamp a cache of its own: a redis component in the template.",
  queue: "Give each stamp a queue of its own: a nats component in the template.",
  credential: "Give each stamp a secret of its own: who takes one stamp's must not hold the other's.",
  directory: "Give each stamp a directory of its own.",
  uid: "Give each stamp a user of its own.",
  process: "Run it once for each stamp.",
  port: "Destroy one of the stamps and create it again: its ports are given out anew.",
  endpoint: "Let each stamp answer at an address of its own: a request for one would reach the other.",
  external: "Declare it as an external component, or give each stamp its own.",
};

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
