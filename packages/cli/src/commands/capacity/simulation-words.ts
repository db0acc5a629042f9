import type { SimulatedPool, SimulationInput, SizeDistribution } from "@stampyard/api";
import { CommandFailure } from "../../failure.ts";

/** How the options of `capacity simulate` are written. Each reader names the option and an example when it cannot read. */

/** `5%`, `0.05`, `1.5%`. */
export function readShare(option: string, text: string): number {
  const found = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim());
  if (found === null) throw unreadable(option, text, "5%");
  return found[2] === "%" ? Number(found[1]) / 100 : Number(found[1]);
}

/** `5%`, `5%/month`, `80%/year`: growth per month. */
export function readGrowth(option: string, text: string): number {
  const found = /^([^/]+)(?:\/(month|year))?$/.exec(text.trim());
  if (found === null) throw unreadable(option, text, "5%/month");
  const share = readShare(option, found[1] ?? "");
  return found[2] === "year" ? (1 + share) ** (1 / 12) - 1 : share;
}

/** `tenants=400,rps=500`. */
export function readAmounts(option: string, text: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const part of text.split(",")) {
    const found = /^\s*([a-z](?:-?[a-z0-9])*)=(\d+(?:\.\d+)?)\s*$/.exec(part);
    if (found === null) throw unreadable(option, part, "tenants=400,rps=500");
    out[found[1] ?? ""] = Number(found[2]);
  }
  return out;
}

/** `eu=60%,us=40%`. */
export function readShares(option: string, text: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const part of text.split(",")) {
    const found = /^\s*([a-z](?:-?[a-z0-9])*)(?:=(\S+))?\s*$/.exec(part);
    if (found === null) throw unreadable(option, part, "eu=60%,us=40%");
    out[found[1] ?? ""] = found[2] === undefined ? 1 : readShare(option, found[2]);
  }
  return out;
}

/** `standard=95%,enterprise=5%x20:dedicated`: share, size as a multiple, and whether each gets a stamp alone. */
export function readTiers(option: string, text: string): NonNullable<SimulationInput["tiers"]> {
  return text.split(",").map((part) => {
    const found = /^\s*([a-z](?:-?[a-z0-9])*)=([\d.]+%?)(?:x(\d+(?:\.\d+)?))?(:dedicated)?\s*$/.exec(part);
    if (found === null) throw unreadable(option, part, "standard=95%,enterprise=5%x20:dedicated");
    return {
      name: found[1] ?? "",
      share: readShare(option, found[2] ?? ""),
      ...(found[3] === undefined ? {} : { scale: Number(found[3]) }),
      ...(found[4] === undefined ? {} : { dedicated: true }),
    };
  });
}

const kinds = {
  fixed: "fixed:2",
  lognormal: "lognormal:median=0.5,sigma=1.2",
  pareto: "pareto:min=0.1,alpha=1.5",
  buckets: "buckets:90%=1,9%=10,1%=200",
} as const;

/** `rps=lognormal:median=0.5,sigma=1.2`; the unit may be left out where only one is possible. */
export function readDistribution(option: string, text: string): { unit: string | undefined; size: SizeDistribution } {
  const found = /^(?:([a-z](?:-?[a-z0-9])*)=)?(fixed|lognormal|pareto|buckets):(.+)$/.exec(text.trim());
  if (found === null) {
    throw new CommandFailure("INVALID_REQUEST", `--${option} ${JSON.stringify(text)} is no distribution of sizes`, {
      mend: `Write one such as ${Object.values(kinds).join(", ")}; with a unit: rps=${kinds.lognormal}.`,
    });
  }
  const kind = found[2] as keyof typeof kinds;
  return { unit: found[1], size: sizeOf(option, kind, found[3] ?? "") };
}

function sizeOf(option: string, kind: keyof typeof kinds, rest: string): SizeDistribution {
  if (kind === "fixed") {
    const value = Number(rest);
    if (Number.isFinite(value)) return { kind, value };
    throw unreadable(option, rest, kinds.fixed);
  }
  const parts = rest.split(",").map((part) => part.split("=").map((word) => word.trim()));
  if (kind === "buckets") {
    const buckets = parts.map(([share = "", value = ""]) => {
      if (value === "" || !Number.isFinite(Number(value))) throw unreadable(option, rest, kinds.buckets);
      return { share: readShare(option, share), value: Number(value) };
    });
    return { kind, buckets };
  }
  const wanted: readonly string[] = kind === "lognormal" ? ["median", "sigma"] : ["min", "alpha", "max"];
  const given = new Map(parts.map(([name = "", value = ""]) => [name, value === "" ? Number.NaN : Number(value)]));
  for (const [name, value] of given) {
    if (!wanted.includes(name) || !Number.isFinite(value)) throw unreadable(option, rest, kinds[kind]);
  }
  const need = (name: string): number => {
    const value = given.get(name);
    if (value === undefined) throw unreadable(option, rest, kinds[kind]);
    return value;
  };
  if (kind === "lognormal") return { kind, median: need("median"), sigma: need("sigma") };
  const max = given.get("max");
  return { kind, min: need("min"), alpha: need("alpha"), ...(max === undefined ? {} : { max }) };
}

/** Sizes by unit. One without a unit is of the only unit beside tenants, or of tenants where there is none. */
export function readDistributions(
  option: string,
  texts: readonly string[],
  pools: readonly SimulatedPool[],
): Record<string, SizeDistribution> {
  const units = [...new Set(pools.flatMap((pool) => Object.keys(pool.capacity)))].filter((unit) => unit !== "tenants");
  const out: Record<string, SizeDistribution> = {};
  for (const text of texts) {
    const { unit, size } = readDistribution(option, text);
    if (unit === undefined && units.length > 1) {
      throw new CommandFailure(
        "INVALID_REQUEST",
        `--${option} ${JSON.stringify(text)} could be of ${units.join(" or ")}`,
        {
          mend: `Name the unit: ${units[0]}=${text}.`,
        },
      );
    }
    out[unit ?? units[0] ?? "tenants"] = size;
  }
  return out;
}

function unreadable(option: string, text: string, example: string): CommandFailure {
  return new CommandFailure("INVALID_REQUEST", `--${option} has ${JSON.stringify(text)}, which cannot be read`, {
    mend: `Write it as in --${option} ${example}.`,
  });
}
