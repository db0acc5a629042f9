import { quote } from "@stampyard/domain";
import type { z } from "zod";
import { type Finding, type Path, pathText } from "./problem.ts";
import { keyOffset, type Plain, placeKey, type ReadFile, valueOffset } from "./read-yaml.ts";
import { isSensitivePath } from "./sensitive.ts";
import { didYouMean } from "./suggest.ts";

/** Checks a file's value against its schema; every issue becomes a finding at its key or value. */
export function checkShape<T>(schema: z.ZodType<T>, file: ReadFile): { data: T | undefined; findings: Finding[] } {
  const parsed = schema.safeParse(file.value);
  if (parsed.success) return { data: parsed.data, findings: [] };
  // What the reader refused is wrong once, not a second time for its shape.
  const refused = new Set(file.findings.map((finding) => placeKey(finding.path)));
  const findings: Finding[] = [];
  for (const issue of parsed.error.issues) {
    findings.push(...findingsOf(issue, file).filter((finding) => !refused.has(placeKey(finding.path))));
    if (findings.length > enough) break;
  }
  return { data: undefined, findings };
}

/** More are never shown, and looking for what each of them may have meant would take time. */
const enough = 1_000;

type Issue = z.core.$ZodIssue;

function findingsOf(issue: Issue, file: ReadFile): readonly Finding[] {
  const path = issue.path.filter((part) => typeof part !== "symbol");
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys
        .slice(0, enough)
        .map((key) => unknownField([...path, key], key, issue.message.split(" "), file));
    case "invalid_key":
      return [badName(path, issue.issues[0]?.message ?? issue.message, file)];
    case "custom":
      return [custom(issue, path, file)];
    default: {
      const found = at(file.value, path);
      if (found === undefined) return [missing(path, issue.message, file)];
      const options = "options" in issue && Array.isArray(issue.options) ? issue.options.map(String) : choices(issue);
      return [wrong(path, found, issue.message, options, file)];
    }
  }
}

function choices(issue: Issue): readonly string[] {
  return issue.code === "invalid_value" ? issue.values.map(String) : [];
}

function unknownField(path: Path, key: string, known: readonly string[], file: ReadFile): Finding {
  const mend = didYouMean(key, known, "Remove it, or use one of these.");
  return { offset: keyOffset(file.places, path), path, message: `Unknown field ${pathText(path)}`, mend };
}

function badName(path: Path, expects: string, file: ReadFile): Finding {
  const name = String(path.at(-1));
  const message = `Invalid name ${quote(name)} in ${pathText(path.slice(0, -1))}`;
  return { offset: keyOffset(file.places, path), path, message, mend: `Write ${expects}.` };
}

function missing(path: Path, expects: string, file: ReadFile): Finding {
  const mend = `Add ${String(path.at(-1))}: ${expects}.`;
  return { offset: keyOffset(file.places, path), path, message: `Missing field ${pathText(path)}`, mend };
}

/** A refinement: either it says what it expects like any field, or it has a message and mend of its own. */
function custom(issue: Extract<Issue, { code: "custom" }>, path: Path, file: ReadFile): Finding {
  const expects = issue.params?.["expects"];
  const found = at(file.value, path);
  if (typeof expects === "string") return wrong(path, found ?? null, expects, [], file);
  const mend = String(issue.params?.["mend"] ?? "Change it.");
  const message = `${issue.message} in ${pathText(path)}`;
  return { offset: valueOffset(file.places, path), path, message, mend };
}

function wrong(path: Path, found: Plain, expects: string, options: readonly string[], file: ReadFile): Finding {
  const offset = valueOffset(file.places, path);
  if (found === null) {
    return { offset, path, message: `Missing value of ${pathText(path)}`, mend: `Write ${expects}.` };
  }
  const message = `Invalid value ${shown(path, found, file)} of ${pathText(path)}`;
  const near = typeof found === "string" && options.length > 1 ? didYouMean(found, options, "") : "";
  return { offset, path, message, mend: near.startsWith("Did") ? near : `Write ${expects}${hint(found, expects)}.` };
}

/** The trap that YAML laid, if it did: quotes that make a text of a number, or words that look like booleans. */
function hint(found: Plain, expects: string): string {
  if (typeof found === "string" && expects === "true or false") return "; other words are texts in YAML 1.2";
  if (typeof found === "string" && /number/.test(expects) && /^-?[0-9]+(?:\.[0-9]+)?$/.test(found)) {
    return ", without quotes";
  }
  const textWanted = !/number|true or false|list|map|^the word/.test(expects);
  return textWanted && (typeof found === "number" || typeof found === "boolean") ? ", in quotes" : "";
}

function shown(path: Path, found: Plain, file: ReadFile): string {
  if (Array.isArray(found)) return "(a list)";
  if (typeof found === "object" && found !== null) return "(a map)";
  if (isSensitivePath(path)) return `(a ${typeof found === "string" ? "text" : typeof found})`;
  return typeof found === "string" ? quote(found) : (file.places.get(placeKey(path))?.source ?? String(found));
}

function at(value: Plain | undefined, path: Path): Plain | undefined {
  let here: Plain | undefined = value;
  for (const part of path) {
    if (Array.isArray(here) && typeof part === "number") here = here[part];
    else if (typeof here === "object" && here !== null && !Array.isArray(here) && Object.hasOwn(here, part)) {
      here = here[part];
    } else return undefined;
  }
  return here;
}
