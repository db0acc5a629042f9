import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { formatProblems } from "./format-problems.ts";
import type { Problem } from "./problem.ts";
import { maxFileBytes } from "./read-yaml.ts";
import { parseTemplate } from "./template.ts";

const at = (name: string) => readFileSync(new URL(`../../../examples/notes/${name}`, import.meta.url), "utf8");
const seeds = [at("stamp.yaml"), at("fleet.yaml")];

const both = [parseTemplate, parseFleet];

/** Parsing never throws, and every problem stands inside the text, in file order. */
function check(text: string, parsers: readonly (typeof parseTemplate | typeof parseFleet)[]): void {
  for (const parse of parsers) {
    const parsed = parse(text, { file: "f" });
    if (parsed.ok) continue;
    expect(parsed.problems.length).toBeGreaterThan(0);
    expect(parsed.problems.length).toBeLessThanOrEqual(100);
    const lines = text.replace(/^\ufeff/, "").split("\n");
    let before: Problem | undefined;
    for (const problem of parsed.problems) {
      const line = lines[problem.line - 1];
      expect(line).toBeDefined();
      expect(problem.column).toBeGreaterThanOrEqual(1);
      expect(problem.column).toBeLessThanOrEqual((line ?? "").length + 1);
      expect(problem.message).not.toBe("");
      expect(problem.mend).toMatch(/[.?]$/);
      const inOrder =
        before === undefined ||
        before.line < problem.line ||
        (before.line === problem.line && before.column <= problem.column);
      expect(inOrder).toBe(true);
      before = problem;
    }
    expect(formatProblems(parsed.problems, text)).toContain(parsed.problems[0]?.message);
  }
}

const pieces = fc.constantFrom(
  ..."- :  \n   {  } [ ] , # & * ! | > ' \" % @ ` ? << --- ... ~ \t \0 \\ ${ } ${db.url} $${ &a *a !!str null true yes 1e999 .nan 0x1f 2024-01-01".split(
    " ",
  ),
  ": ",
  "- ",
  "\n",
  "\n  ",
  "\n    ",
  "  ",
  "__proto__: ",
  "constructor: ",
  "é",
  "😀",
  "\ud800",
  "\u202e",
  "\r\n",
  "kind: service",
  "kind: StampTemplate",
  "kind: Fleet",
  "components:",
  "pools:",
  "env:",
  "after: [api]",
  "stages:",
);

test("parsing random text never throws", () => {
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => check(parts.join(""), both)),
    { numRuns: 1_500 },
  );
});

test("parsing mutated files never throws", () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 30 }), pieces), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.constantFrom(...seeds), edits, (seed, list) => {
      let text = seed;
      for (const [place, cut, piece] of list) {
        const start = place % text.length;
        text = text.slice(0, start) + piece + text.slice(start + (cut % 7 === 0 ? cut : 0));
      }
      check(text, both);
    }),
    { numRuns: 1_000 },
  );
});

test("parsing any value in the place of any field never throws", () => {
  const header = (kind: string) => `{"apiVersion": "stampyard.dev/v1alpha1", "kind": "${kind}"`;
  const fields = ["metadata", "parameters", "components", "stages", "ingress", "capacity", "hooks", "pools", "routing"];
  const keys = fc.constantFrom(
    "api",
    "db",
    "kind",
    "env",
    "command",
    "after",
    "default",
    "service",
    "header",
    "regions",
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom("service", "postgres", "${db.url}", "", null, 1, -0.5, true, "a b"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(keys, tie("value"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(fc.constantFrom("StampTemplate", "Fleet"), fc.constantFrom(...fields), value, (kind, field, any) => {
      check(`${header(kind)}, "${field}": ${JSON.stringify(any)}}`, both);
    }),
    { numRuns: 1_500 },
  );
});

const fill = (piece: string) => piece.repeat(Math.floor((maxFileBytes - 100) / piece.length));
const many = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");
const start = "apiVersion: stampyard.dev/v1alpha1\nkind: StampTemplate\ncomponents:\n";
const bombs: Readonly<Record<string, string>> = {
  brackets: fill("["),
  braces: fill("{a: "),
  dashes: fill("- "),
  questions: fill("? "),
  quotes: fill('"'),
  newlines: fill("\n"),
  documents: fill("---\n"),
  brokenDocuments: fill("---\nenv: [\n"),
  anchors: fill("a: &a 1\n"),
  doubleKeys: fill("a: 1\n"),
  keys: many(19_000, (i) => `k${i}: 1`),
  tooManyKeys: many(25_000, (i) => `k${i}: 1`),
  references: `${start}  a: { kind: service, command: "${"${a.b}".repeat(30_000)}" }`,
  escapes: `${start}  a: { kind: service, command: "${"$${".repeat(60_000)}\${x.y}" }`,
  openQuotes: `${start}  a: { kind: service, command: "${"'a ".repeat(60_000)}" }`,
  circles: `${start}${many(120, (i) => `  a${i}: { kind: service, after: [${many(100, (j) => `a${j}`).replaceAll("\n", ", ")}] }`)}`,
  colonsInUrl: `${start}  a: { kind: external, url: "https://${":".repeat(200_000)}" }`,
  brokenLongWord: `env: "${"a".repeat(250_000)}`,
  brokenDashes: `a: "\n${"-".repeat(250_000)}x`,
  strangersAndParameters: `${start}  a: { kind: service, command: "${many(2_800, (i) => `\${params.abcdefghijklmnopqrstuvwxzz${i}}`).replaceAll("\n", "")}" }\nparameters:\n${many(2_000, (i) => `  abcdefghijklmnopqrstuvw9876${i}: { type: string }`)}`,
  unknownFields: `${start}  a: { ${many(9_000, (i) => `abcdefghijklmnopqr${i}: 1`).replaceAll("\n", ", ")} }`,
  longNames: `${start}${many(100, (i) => `  ${"x".repeat(2_000)}${i}: { knid: service }`)}`,
};

test.each(Object.entries(bombs))("parsing a bomb of %s ends soon", (_, text) => {
  const begin = performance.now();
  check(text, [parseTemplate]);
  // The limit is far above what a loaded machine needs, far below a quadratic walk.
  expect(performance.now() - begin).toBeLessThan(20_000);
});
