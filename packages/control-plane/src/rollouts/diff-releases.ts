import {
  canonicalJson,
  type Capacity,
  type Component,
  isSame,
  type Json,
  type Parameters,
  type Text,
} from "@stampyard/domain";
import type { ReleaseParts } from "../server/stamp-goal.ts";

/** One side of a comparison; parameters and capacity where it is for one stamp. */
export interface DiffSide extends ReleaseParts {
  readonly parameters?: Parameters;
  readonly capacity?: Capacity;
}

export interface ReleaseChange {
  /** A component, or `content`, `parameters`, `capacity`, `ingress`, `tenancy`, `hooks`, `verify`, `version`. */
  readonly what: string;
  readonly change: "add" | "update" | "remove";
  /** One line for each field that differs. No value of what people put secrets into is shown. */
  readonly lines: readonly string[];
}

/** What differs between two releases. Pure. */
export function diffReleases(from: DiffSide, to: DiffSide): readonly ReleaseChange[] {
  const [old, next] = [from.template, to.template];
  return [
    ...diffWhole("version", old.version, next.version),
    ...diffWhole("content", from.content, to.content),
    ...diffComponents(componentsOf(from), componentsOf(to)),
    ...diffWhole("ingress", old.ingress, next.ingress),
    ...diffWhole("tenancy", old.tenancy, next.tenancy),
    ...diffWhole("hooks", old.hooks, next.hooks),
    ...diffWhole("verify", old.verify, next.verify),
    ...diffWhole("parameters", parametersOf(from), parametersOf(to)),
    ...diffWhole("capacity", from.capacity ?? old.capacity, to.capacity ?? next.capacity),
  ];
}

function componentsOf({ template }: DiffSide): readonly Component[] {
  return template.stages.flatMap((stage) => stage.components);
}

/** The values of a stamp, or what the template says of them. */
function parametersOf({ parameters, template }: DiffSide): unknown {
  return parameters ?? template.parameters;
}

function diffComponents(from: readonly Component[], to: readonly Component[]): readonly ReleaseChange[] {
  const names = [...new Set([...to, ...from].map(({ name }) => name))];
  return names.flatMap((name) => {
    const old = from.find((component) => component.name === name);
    const next = to.find((component) => component.name === name);
    return diffWhole(name, old, next);
  });
}

function diffWhole(what: string, from: unknown, to: unknown): readonly ReleaseChange[] {
  if (isSame(from, to)) return [];
  if (from === undefined) return [{ what, change: "add", lines: kindLine(to) }];
  if (to === undefined) return [{ what, change: "remove", lines: kindLine(from) }];
  const lines = linesOf([what], from, to);
  return [{ what, change: "update", lines }];
}

function kindLine(value: unknown): readonly string[] {
  const { kind } = (typeof value === "object" && value !== null ? value : {}) as { kind?: unknown };
  return typeof kind === "string" ? [`kind: ${kind}`] : [];
}

/** Down to the fields that differ; lists, and texts with references, are one value. */
function linesOf(path: readonly string[], from: unknown, to: unknown): readonly string[] {
  if (isSame(from, to)) return [];
  if (!isRecord(from) || !isRecord(to)) return [`${labelOf(path)}${shown(path, from)} → ${shown(path, to)}`];
  const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return keys.flatMap((key) => linesOf([...path, key], from[key], to[key]));
}

function labelOf(path: readonly string[]): string {
  return path.length === 1 ? "" : `${path.slice(1).join(".")}: `;
}

/** People put secrets there, rightly or not. */
const sensitive = /^env$|^parameters$|^default$|pass|secret|token|credential|private|key|url|dsn|auth|salt|connection/i;

function shown(path: readonly string[], value: unknown): string {
  if (value === undefined) return "(absent)";
  if (path.some((part) => sensitive.test(part)) && !isReferenceOnly(value)) return "(a value)";
  const text = isText(value) ? wordsOf(value) : isCommand(value) ? value.map(wordsOf).join(" ") : plain(value);
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

/** `${db.url}` says where a secret comes from, and nothing of it. */
function isReferenceOnly(value: unknown): boolean {
  return isText(value) && value.length > 0 && value.every((part) => typeof part !== "string");
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : canonicalJson(value as Json);
}

function isCommand(value: unknown): value is readonly Text[] {
  return Array.isArray(value) && value.length > 0 && value.every(isText);
}

function isText(value: unknown): value is Text {
  return (
    Array.isArray(value) &&
    value.every((part) => typeof part === "string" || (isRecord(part) && "of" in part && "field" in part))
  );
}

function wordsOf(text: Text): string {
  return text.map((part) => (typeof part === "string" ? part : `\${${part.of}.${part.field}}`)).join("");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
