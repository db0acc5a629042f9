import { quote } from "@stampyard/domain";
import { isAlias, isMap, isScalar, isSeq, type ParsedNode, parseAllDocuments, type YAMLMap, type YAMLSeq } from "yaml";
import { type Finding, type Path, pathText } from "./problem.ts";
import { syntaxMessage } from "./syntax-messages.ts";

export type Plain = null | boolean | number | string | Plain[] | { [key: string]: Plain };

/** Where a value stands in the text, as UTF-16 offsets. */
export interface Place {
  /** Of its key; absent for list items and the root. */
  readonly key?: number;
  readonly start: number;
  readonly end: number;
  /** A scalar as it was written, before `1.10` became the number 1.1. */
  readonly source?: string;
}

export interface ReadFile {
  /** Undefined when the text cannot be understood at all; then `findings` says why. */
  readonly value: { [key: string]: Plain } | undefined;
  readonly places: Places;
  readonly findings: readonly Finding[];
}

/** Files are written by hand; a quarter of a mebibyte is far beyond any real one, and cheap to refuse. */
export const maxFileBytes = 256 * 1024;
const maxNodes = 20_000;
const maxDepth = 24;
const maxSyntaxFindings = 20;
/** More are never shown, and collecting them would take time. */
const maxFindings = 200;

export type Places = ReadonlyMap<string, Place>;

export function placeKey(path: Path): string {
  return path.join("\n");
}

/** Offset of the value at `path`, or of its nearest ancestor that stands in the file. */
export function valueOffset(places: Places, path: Path): number {
  const place = places.get(placeKey(path));
  return place?.start ?? keyOffset(places, path.slice(0, -1));
}

/** Offset of the key at `path` (of the value where there is no key), or of its nearest ancestor. */
export function keyOffset(places: Places, path: Path): number {
  for (let length = path.length; length >= 0; length--) {
    const place = places.get(placeKey(path.slice(0, length)));
    if (place !== undefined) return place.key ?? place.start;
  }
  return 0;
}

/**
 * Reads one YAML 1.2 document of plain maps, lists and scalars. Everything that makes YAML surprising or dangerous
 * (anchors, aliases, tags, merge keys, directives, double keys) is a finding. Never throws; time grows with the text.
 */
export function readYaml(text: string): ReadFile {
  const places = new Map<string, Place>();
  const unread = (findings: readonly Finding[]): ReadFile => ({ value: undefined, places, findings });
  if (byteLength(text) > maxFileBytes) return unread([tooLarge]);
  const characters = badCharacters(text);
  if (characters.length > 0) return unread(characters);
  const directive = /^%/m.exec(text);
  if (directive !== null && !/^[^%#\s]/m.test(text.slice(0, directive.index))) {
    const mend = "Remove the line that starts with %.";
    return unread([{ offset: directive.index, path: [], message: "YAML directives are not allowed", mend }]);
  }
  const documents = compose(text);
  if (!Array.isArray(documents)) return unread([documents]);
  const syntax = onePerLine(
    text,
    documents.flatMap((document) => syntaxFindings(document)),
  );
  if (syntax.length > 0) return unread(syntax);
  const second = documents[1];
  if (second !== undefined) {
    const mend = "Keep one document per file; remove everything from the second --- on.";
    return unread([
      { offset: second.contents?.range[0] ?? 0, path: [], message: "File holds several documents", mend },
    ]);
  }
  const root = documents[0]?.contents ?? null;
  if (!isMap(root)) return unread([notAMap(root as ParsedNode | null)]);
  const walk: Walk = { text, places, findings: [], nodes: 0 };
  const value = readMap(walk, root as YAMLMap.Parsed, [], undefined);
  return { value: walk.nodes > maxNodes ? undefined : value, places, findings: walk.findings };
}

interface Walk {
  readonly text: string;
  readonly places: Map<string, Place>;
  readonly findings: Finding[];
  nodes: number;
}

const tooLarge: Finding = {
  offset: 0,
  path: [],
  message: `File is larger than ${maxFileBytes / 1024} KiB`,
  mend: "Split what the file describes, or move data out of it.",
};

function compose(text: string) {
  try {
    // Uniqueness of keys is checked below: the parser's own check is quadratic in the number of keys.
    const found = parseAllDocuments(text, { version: "1.2", schema: "core", prettyErrors: false, uniqueKeys: false });
    return [...found];
  } catch {
    return { offset: 0, path: [], message: "File cannot be read as YAML", mend: "Check its nesting and quotes." };
  }
}

type Documents = Extract<ReturnType<typeof compose>, readonly unknown[]>;

function syntaxFindings(document: Documents[number]): readonly Finding[] {
  return [...document.errors, ...document.warnings]
    .filter((error) => error.code !== "TAG_RESOLVE_FAILED")
    .map((error) => ({ offset: error.pos[0], path: [], ...syntaxMessage(error.code) }));
}

/** The first fault of a line brings the others about. */
function onePerLine(text: string, findings: readonly Finding[]): readonly Finding[] {
  const out: Finding[] = [];
  for (const finding of [...findings].sort((a, b) => a.offset - b.offset)) {
    const last = out.at(-1);
    if (last !== undefined && !text.slice(last.offset, finding.offset).includes("\n")) continue;
    out.push(finding);
    if (out.length === maxSyntaxFindings) break;
  }
  return out;
}

function notAMap(root: ParsedNode | null): Finding {
  const empty = root === null || (isScalar(root) && root.value === null);
  return {
    offset: root?.range[0] ?? 0,
    path: [],
    message: empty ? "File is empty" : "File is not a map of fields",
    mend: "Start with `apiVersion: stampyard.dev/v1alpha1` and `kind: …`.",
  };
}

function readNode(walk: Walk, node: ParsedNode | null, path: Path, key: number | undefined): Plain | undefined {
  if (node === null) return null;
  walk.nodes++;
  if (walk.nodes > maxNodes) {
    if (walk.nodes === maxNodes + 1) {
      const message = `File holds more than ${maxNodes} values`;
      walk.findings.push({ offset: node.range[0], path: [], message, mend: "Make the file smaller." });
    }
    return undefined;
  }
  if (isAlias(node)) {
    refuse(walk, node.range[0], path, "Alias is not allowed", "Write the value out instead of *alias.");
    return undefined;
  }
  const props = propsOffset(walk, node);
  if (node.anchor !== undefined) refuse(walk, props, path, "Anchor is not allowed", "Remove the &anchor.");
  if (node.tag !== undefined) {
    refuse(walk, props, path, "Tag is not allowed", "Remove the !tag; quote the value if it is a text.");
  }
  if (isMap(node)) return readMap(walk, node as YAMLMap.Parsed, path, key);
  if (isSeq(node)) return readList(walk, node as YAMLSeq.Parsed, path, key);
  place(walk, node, path, key);
  return readScalar(walk, node.value, node.range[0], path);
}

function readScalar(walk: Walk, value: unknown, offset: number, path: Path): Plain {
  if (typeof value === "string") {
    if (controlInValue.test(value)) {
      const message = `Control character in the value of ${pathText(path)}`;
      refuse(walk, offset, path, message, "Remove the escape such as \\0 or \\x1b from the text.");
    }
    return value;
  }
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}

function place(walk: Walk, node: ParsedNode, path: Path, key: number | undefined): void {
  const source = isScalar(node) ? node.source : undefined;
  walk.places.set(placeKey(path), {
    start: node.range[0],
    end: node.range[1],
    ...(key === undefined ? {} : { key }),
    ...(source === undefined ? {} : { source }),
  });
}

function tooDeep(walk: Walk, node: ParsedNode, path: Path): boolean {
  if (path.length < maxDepth) return false;
  refuse(walk, node.range[0], path.slice(0, 3), `Nesting is deeper than ${maxDepth} levels`, "Flatten the file.");
  return true;
}

function readMap(walk: Walk, node: YAMLMap.Parsed, path: Path, key: number | undefined): { [key: string]: Plain } {
  place(walk, node, path, key);
  const out: { [key: string]: Plain } = {};
  if (tooDeep(walk, node, path)) return out;
  const seen = new Set<string>();
  for (const pair of node.items) {
    if (walk.nodes > maxNodes) break;
    const offset = pair.key.range?.[0] ?? node.range[0];
    const name = readKey(walk, pair.key as ParsedNode, offset, path);
    if (name === undefined) continue;
    const at = [...path, name];
    if (seen.has(name)) {
      refuse(walk, offset, at, `Field ${pathText(at)} stands twice`, "Keep one of the two.");
      continue;
    }
    seen.add(name);
    const value = readNode(walk, pair.value as ParsedNode | null, at, offset);
    if (pair.value === null) walk.places.set(placeKey(at), { key: offset, start: offset, end: offset });
    if (value !== undefined) out[name] = value;
  }
  return out;
}

/** A key as it was written, so that `1.10:` and `true:` are the texts they look like. */
function readKey(walk: Walk, key: ParsedNode, offset: number, path: Path): string | undefined {
  const name = isScalar(key) ? (typeof key.value === "string" ? key.value : (key.source ?? "")) : "";
  const fault = keyFault(key, name);
  if (fault === undefined) return name;
  refuse(walk, isScalar(key) ? propsOffset(walk, key) : offset, path, ...fault);
  return undefined;
}

function keyFault(key: ParsedNode, name: string): [message: string, mend: string] | undefined {
  if (isAlias(key)) return ["Alias is not allowed", "Write the field name out."];
  if (key.anchor !== undefined) return ["Anchor is not allowed", "Remove the &anchor."];
  if (key.tag !== undefined) return ["Tag is not allowed", "Remove the !tag."];
  if (!isScalar(key)) return ["Field name is a list or a map", "Use a plain word."];
  if (name === "") return ["Field name is empty", "Write a name before the colon."];
  if (name === "<<") return ["Merge key << is not allowed", "Write the fields out."];
  // Names that every JavaScript object answers to are never ours, and hide bugs in whoever looks them up.
  if (name in {}) return [`Field name ${quote(name)} is not allowed`, "Choose another name."];
  return controlInValue.test(name) ? ["Control character in a field name", "Remove it."] : undefined;
}

function readList(walk: Walk, node: YAMLSeq.Parsed, path: Path, key: number | undefined): Plain[] {
  place(walk, node, path, key);
  if (tooDeep(walk, node, path)) return [];
  const out: Plain[] = [];
  for (const [index, item] of node.items.entries()) {
    if (walk.nodes > maxNodes) break;
    out.push(readNode(walk, item as ParsedNode, [...path, index], undefined) ?? null);
  }
  return out;
}

/** Anchors and tags stand before a node, outside of its range. */
function propsOffset(walk: Walk, node: ParsedNode): number {
  const start = node.range[0];
  if ((node.anchor === undefined && node.tag === undefined) || walk.findings.length > maxFindings) return start;
  const before = walk.text.slice(Math.max(0, start - 100), start);
  return start - (/[!&]\S*(?:\s+[!&]\S*)?\s*$/.exec(before)?.[0].length ?? 0);
}

function refuse(walk: Walk, offset: number, path: Path, message: string, mend: string): void {
  if (walk.findings.length <= maxFindings) walk.findings.push({ offset, path, message, mend });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const controlInValue = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/** Characters that no editor shows: controls, lone surrogates, and those that turn the reading direction around. */
function badCharacters(text: string): readonly Finding[] {
  const pattern =
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\p{Surrogate}/gu;
  const findings: Finding[] = [];
  for (const match of text.matchAll(pattern)) {
    const code = (match[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    const message = `Character U+${code} is not allowed`;
    findings.push({ offset: match.index, path: [], message, mend: "Delete the invisible character; save as UTF-8." });
    if (findings.length === 5) break;
  }
  return findings;
}

/** Size as UTF-8, bounded: past the limit nobody counts on. */
function byteLength(text: string): number {
  if (text.length > maxFileBytes) return text.length;
  return new TextEncoder().encode(text).length;
}
