import { expect, test } from "vitest";
import { formatProblems } from "./format-problems.ts";
import { parseTemplate } from "./template.ts";
import { badFile, goodTemplate as good, type Row } from "./testing/bad-file.ts";

const api = "  api: { kind: service, command: node api.js, port: auto }";
const apiWith = (more: string) => `  api: { kind: service, command: node api.js, port: auto, ${more} }`;
const worker = "  worker: { kind: service, command: node worker.js }";
const db = "{ kind: postgres }";
const end = "column: tenant_id }\n";

const rows: readonly Row[] = [
  ["empty file", good, "‸", "File is empty", "apiVersion: stampyard.dev/v1alpha1"],
  ["only comments", good, "‸# nothing\n", "File is empty", "apiVersion"],
  ["list at the root", good, "‸- a\n- b\n", "File is not a map of fields", "apiVersion"],
  ["text at the root", good, "‸hello\n", "File is not a map of fields", "apiVersion"],
  ["second document", end, `${end}---\n‸kind: Fleet\n`, "File holds several documents", "Keep one document"],
  [
    "double field",
    "kind: StampTemplate",
    "kind: StampTemplate\n‸kind: StampTemplate",
    "Field kind stands twice",
    "one of the two",
  ],
  [
    "double component",
    worker,
    `${worker}\n  ‸api: { kind: redis }`,
    "Field components.api stands twice",
    "one of the two",
  ],
  ["double environment name", api, apiWith("env: { A: a, ‸A: b }"), "Field components.api.env.A stands twice", "one"],
  ["anchor", db, "‸&d { kind: postgres }", "Anchor is not allowed", "Remove the &anchor"],
  ["merge key", db, "{ kind: postgres, ‸<<: { version: 18 } }", "Merge key << is not allowed", "Write the fields out"],
  ["tag", "{ tenants: 10 }", "{ tenants: ‸!!int 10 }", "Tag is not allowed", "Remove the !tag"],
  ["own tag", "version: 1.0.0", "version: ‸!x 1.0.0", "Tag is not allowed", "Remove the !tag"],
  [
    "prototype",
    db,
    "{ kind: postgres, ‸__proto__: { x: 1 } }",
    'Field name "__proto__" is not allowed',
    "another name",
  ],
  [
    "constructor",
    worker,
    `${worker}\n  ‸constructor: { kind: redis }`,
    'Field name "constructor" is not allowed',
    "another",
  ],
  ["map as a key", db, "{ kind: postgres, ? ‸{ a: b } : c }", "Field name is a list or a map", "plain word"],
  ["directive", "apiVersion:", "‸%YAML 1.1\n---\napiVersion:", "YAML directives are not allowed", "starts with %"],
  ["tab as indentation", "parameters:\n", "parameters:\n‸\tx: 1\n", "Tab used as indentation", "spaces"],
  ["two colons", "version: 1.0.0 }", "version: 1.0.0 }\nnote: ‸a: b", "Two colons on one line", "quotes"],
  ["NUL", "node api.js", "node‸\0 api.js", "Character U+0000 is not allowed", "Delete"],
  ["escape code of a terminal", "node api.js", "node ‸\u001b[31m api.js", "Character U+001B is not allowed", "Delete"],
  ["turned reading direction", "node api.js", "node ‸\u202eapi.js", "Character U+202E is not allowed", "Delete"],
  ["lone surrogate", "node api.js", "node ‸\ud800 api.js", "Character U+D800 is not allowed", "Delete"],
  [
    "escaped NUL",
    "node api.js",
    '‸"node \\0 api.js"',
    "Control character in the value of components.api.command",
    "\\0",
  ],
];

test.each(rows)("parseTemplate() names the place of: %s", (_, from, to, message, mend) => {
  const { text, place } = badFile(good, from, to);
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
  expect(parsed.problems[0]?.message).not.toMatch(/\.$/);
  expect(parsed.problems[0]?.mend).toContain(mend);
  if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
});

test("parseTemplate() never expands aliases: a bomb is a list of problems", () => {
  const levels = Array.from({ length: 9 }, (_, i) => `b${i + 1}: &b${i + 1} [${Array(9).fill(`*b${i}`).join(", ")}]`);
  const parsed = parseTemplate(`${good}b0: &b0 [x]\n${levels.join("\n")}\n`, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems.some((problem) => problem.message === "Alias is not allowed" && problem.line === 18)).toBe(
    true,
  );
  expect(parsed.problems.length).toBeLessThanOrEqual(100);
});

test("parseTemplate() refuses what is larger than any file written by hand", () => {
  const text = `${good}# ${"x".repeat(1024 * 1024)}\n`;
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  expect(parsed.problems).toMatchObject([{ line: 1, column: 1, message: "File is larger than 256 KiB" }]);
  expect(formatProblems(parsed.problems, text).length).toBeLessThan(300);
});
