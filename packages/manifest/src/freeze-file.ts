import { type FreezeScope, type FreezeWindow, frozenThings, isZone, parseWall } from "@stampyard/domain";
import type { z } from "zod";
import { fields, listOf, mapOf, name, oneOf, words } from "./field.ts";
import { at, once } from "./findings.ts";
import { asMap } from "./outline.ts";
import type { Finding, Path } from "./problem.ts";
import type { Plain, ReadFile } from "./read-yaml.ts";
import { didYouMean } from "./suggest.ts";

/** When nothing of a scope may change: the fields of `freezes:` in `fleet.yaml`. */

const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const momentWords = "a day and a time such as fri 16:00";
const moment = words(momentWords, /^(?:sun|mon|tue|wed|thu|fri|sat) (?:[01][0-9]|2[0-3]):[0-5][0-9]$/, 9);
const dateWords = "a date and a time such as 2026-12-20T00:00, without an offset";
const date = words(dateWords, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/, 16).refine((text) => parseWall(text) !== undefined, {
  error: dateWords,
  params: { expects: dateWords },
});
const zoneWords = "a time zone such as Europe/Berlin or UTC";
const zone = words(zoneWords, /^[A-Za-z][A-Za-z0-9_+/-]*$/, 64).refine((text) => isZone(text), {
  error: zoneWords,
  params: { expects: zoneWords },
});

const window = fields("a map with zone, and weekly or from and to", {
  zone: zone.describe("Whose clock the times are read from, an IANA name"),
  weekly: fields("a map with from and to", {
    from: moment.describe("Day and time, such as fri 16:00"),
    to: moment.describe("Until then, such as mon 08:00"),
  })
    .optional()
    .describe("Comes again every week"),
  from: date.optional().describe("Once: from then on"),
  to: date.optional().describe("Once: until then"),
  stops: listOf(oneOf(frozenThings), "a list of rollouts, moves, scaling and destroys", 1, 4)
    .optional()
    .describe("What it stops. Default rollouts alone, since tenants need room at any time"),
  pools: listOf(name("pool"), "a list of pool names", 1, 100).optional().describe("Of these pools only"),
  regions: listOf(name("region"), "a list of region names", 1, 100).optional().describe("In these regions only"),
  stamps: listOf(name("stamp"), "a list of stamp names", 1, 1_000).optional().describe("These stamps only"),
});

export const freezes = mapOf(
  words("a name of lower-case letters, digits and single hyphens", /^[a-z](?:-?[a-z0-9])*$/, 40),
  window.describe("One window"),
  "a map of window names and windows",
);

export type FreezesFile = z.infer<typeof freezes>;

/** A window that is never open, or is about pools that are not there, protects nothing. */
export function checkFreezes(file: ReadFile, findings: Finding[]): void {
  const root = file.value ?? {};
  const pools = asMap(root["pools"]);
  const regions = [...new Set(Object.values(pools).flatMap((pool) => texts(asMap(pool)["regions"])))].sort();
  for (const [key, raw] of Object.entries(asMap(root["freezes"]))) {
    const path = ["freezes", key];
    const given = asMap(raw);
    checkTimes(file, findings, given, path);
    for (const list of ["pools", "regions", "stamps", "stops"]) {
      once(file, findings, given[list], [...path, list], "Name");
    }
    const known = (list: "pools" | "regions", names: readonly string[], message: (text: string) => string) => {
      for (const [index, text] of texts(given[list]).entries()) {
        if (names.includes(text)) continue;
        const mend = didYouMean(text, names, `Name one of the ${list}.`);
        at(file, findings, "value", [...path, list, index], message(text), mend);
      }
    };
    known("pools", Object.keys(pools), (text) => `Unknown pool ${text}`);
    known("regions", regions, (text) => `No pool is in region ${text}`);
  }
}

function checkTimes(file: ReadFile, findings: Finding[], given: { readonly [key: string]: Plain }, path: Path): void {
  const say = (where: Path, message: string, mend: string) => at(file, findings, "key", where, message, mend);
  const single = ["from", "to"].filter((field) => field in given);
  if ("weekly" in given) {
    const [field] = single;
    if (field !== undefined) {
      const mend = "Write two windows, or move it into weekly.";
      say([...path, field], `Freeze window has both weekly and ${field}`, mend);
    }
    const { from, to } = asMap(given["weekly"]) as { from?: Plain; to?: Plain };
    if (typeof from === "string" && from === to) {
      const mend = "Write another end; a freeze that never ends is one by a person: stampyard freeze.";
      say([...path, "weekly", "to"], "Freeze window is open all week", mend);
    }
    return;
  }
  if (single.length < 2) {
    say(path, "Freeze window does not say when", "Add weekly: with from and to, or from: and to: with dates.");
    return;
  }
  const [from, to] = [given["from"], given["to"]].map((text) =>
    typeof text === "string" ? parseWall(text) : undefined,
  );
  if (from !== undefined && to !== undefined && from >= to) {
    say([...path, "to"], "Freeze window ends before it begins", "Write a to that is after from.");
  }
}

function texts(list: Plain | undefined): readonly string[] {
  return Array.isArray(list) ? list.filter((item): item is string => typeof item === "string") : [];
}

/** By name, so that the order in the file says nothing. */
export function buildFreezes(file: FreezesFile): readonly FreezeWindow[] {
  return Object.entries(file)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([windowName, given]): readonly FreezeWindow[] => {
      const { pools, regions, stamps, weekly, from, to } = given;
      const scope: FreezeScope = {
        ...(pools === undefined ? {} : { pools }),
        ...(regions === undefined ? {} : { regions }),
        ...(stamps === undefined ? {} : { stamps }),
      };
      const whole = { name: windowName, scope, stops: given.stops ?? (["rollouts"] as const), zone: given.zone };
      if (weekly !== undefined) {
        return [{ ...whole, kind: "weekly", from: momentOf(weekly.from), to: momentOf(weekly.to) }];
      }
      return from === undefined || to === undefined ? [] : [{ ...whole, kind: "dates", from, to }];
    });
}

function momentOf(text: string): { readonly day: number; readonly minute: number } {
  const [day = "", hour = "", minute = ""] = text.split(/[ :]/);
  return { day: days.indexOf(day), minute: Number(hour) * 60 + Number(minute) };
}
