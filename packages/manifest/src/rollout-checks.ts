import { standardTier } from "@stampyard/domain";
import { at } from "./findings.ts";
import { asMap } from "./outline.ts";
import type { Finding, Path } from "./problem.ts";
import type { Plain, ReadFile } from "./read-yaml.ts";
import { didYouMean } from "./suggest.ts";
import { splitCommand } from "./text.ts";

type PlainMap = { readonly [key: string]: Plain };
type Say = (where: "key" | "value", path: Path, message: string, mend: string) => void;

/** Words by which waves can name stamps; undefined where a file does not say. */
export interface KnownLabels {
  readonly region: readonly string[];
  readonly pool: readonly string[];
  readonly ring: readonly string[];
  readonly tier: readonly string[] | undefined;
}

/** What a fleet file declares. */
export function labelsOfFleet(root: PlainMap): KnownLabels {
  const pools = Object.entries(asMap(root["pools"]));
  const all = (field: string) => pools.flatMap(([, pool]) => texts(asMap(pool)[field]));
  return {
    pool: pools.map(([name]) => name),
    region: [...new Set(all("regions"))].sort(),
    ring: [...new Set(all("ring"))].sort(),
    tier: root["tiers"] === undefined ? undefined : [...Object.keys(asMap(root["tiers"])), standardTier],
  };
}

/** Whether a strategy can be followed: each wave takes somebody in one way, and names what is there. */
export function checkRollout(file: ReadFile, findings: Finding[], known: KnownLabels | undefined): void {
  const rollout = asMap(file.value?.["rollout"]);
  const say: Say = (where, path, message, mend) => at(file, findings, where, path, message, mend);
  const waves = listIn(rollout["waves"]);
  for (const [index, raw] of waves.entries()) {
    const path = ["rollout", "waves", index];
    checkSize(asMap(raw), path, say);
    checkLabels(asMap(asMap(raw)["labels"]), [...path, "labels"], known, say);
    if (asMap(raw)["rest"] === true && index < waves.length - 1) {
      say("key", [...path, "rest"], "Nothing is left for the waves after this one", "Move it to the end.");
    }
  }
  uniqueNames(waves, ["rollout", "waves"], "wave", say);
  const gate = asMap(rollout["gate"]);
  for (const [list, what] of [["probes", "probe"] as const, ["queries", "query"] as const]) {
    uniqueNames(listIn(gate[list]), ["rollout", "gate", list], what, say);
  }
  for (const [index, raw] of listIn(gate["probes"]).entries()) {
    const path = ["rollout", "gate", "probes", index];
    oneWay(asMap(raw), ["path", "command"], path, "Probe asks nothing", say);
    if ("status" in asMap(raw) && !("path" in asMap(raw))) {
      say("key", [...path, "status"], "Field status means nothing without path", "Remove it, or add path:.");
    }
  }
  uniqueNames(listIn(rollout["hooks"]), ["rollout", "hooks"], "hook", say);
  for (const [index, raw] of listIn(rollout["hooks"]).entries()) {
    oneWay(asMap(raw), ["url", "command"], ["rollout", "hooks", index], "Hook calls nothing", say);
  }
}

const sizes = ["count", "percent", "labels", "rest"];

function checkSize(wave: PlainMap, path: Path, say: Say): void {
  const given = sizes.filter((size) => size in wave);
  const [first, second] = given;
  if (first === undefined) {
    say("value", path, "Wave does not say who is in it", "Add count:, percent:, labels: or rest: true.");
    return;
  }
  // So many of those with these labels.
  if (second === undefined || (given.length === 2 && first === "count" && second === "labels")) return;
  say(
    "key",
    [...path, second],
    `Wave has both ${first} and ${second}`,
    "Write one of them; count may stand beside labels.",
  );
}

function checkLabels(labels: PlainMap, path: Path, known: KnownLabels | undefined, say: Say): void {
  if (known === undefined) return;
  for (const label of ["region", "pool", "ring", "tier"] as const) {
    const names = known[label];
    if (names === undefined) continue;
    for (const [index, text] of texts(labels[label]).entries()) {
      if (names.includes(text)) continue;
      const otherwise = label === "ring" ? "Give a pool this ring:." : `Name a ${label} that is in this file.`;
      say("value", [...path, label, index], `Unknown ${label} ${text}`, didYouMean(text, names, otherwise));
    }
  }
}

/** One of two fields; a command line is split as it will be. */
function oneWay(
  item: PlainMap,
  [first, second]: readonly [string, string],
  path: Path,
  nothing: string,
  say: Say,
): void {
  if (!(first in item) && !(second in item)) say("value", path, nothing, `Add ${first}: or ${second}:.`);
  if (first in item && second in item) {
    say("key", [...path, second], `Both ${first} and ${second} are given`, "Write two, each with a name of its own.");
  }
  const { command } = item;
  if (typeof command !== "string") return;
  const split = splitCommand(command);
  if (split.kind === "fault") say("value", [...path, "command"], split.message, split.mend);
}

function uniqueNames(list: readonly Plain[], path: Path, what: string, say: Say): void {
  const seen = new Set<string>();
  for (const [index, raw] of list.entries()) {
    const { name } = asMap(raw);
    if (typeof name !== "string") continue;
    if (seen.has(name))
      say("value", [...path, index, "name"], `Two are called ${what} ${name}`, "Give each its own name.");
    seen.add(name);
  }
}

function listIn(value: Plain | undefined): readonly Plain[] {
  return Array.isArray(value) ? value : [];
}

function texts(value: Plain | undefined): readonly string[] {
  const list = typeof value === "string" ? [value] : listIn(value);
  return list.filter((item): item is string => typeof item === "string");
}
