import { expect, test } from "vitest";
import { formatProblems } from "./format-problems.ts";
import { manifestError } from "./manifest-error.ts";
import { parseTemplate } from "./template.ts";

function problemsIn(text: string) {
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (parsed.ok) throw new Error("It was taken for good");
  return parsed.problems;
}

const head = "apiVersion: stampyard.dev/v1alpha1\nkind: StampTemplate\nmetadata: { name: a, version: 1.0.0 }\n";
const tail = "ingress: { service: api }\ncapacity: { tenants: 1 }\ntenancy: { model: schema }\n";

test("formatProblems() prints place, message, line, caret and mend", () => {
  const text = `${head}components:\n  api: { kind: service, command: x, port: auto, replica: 2 }\n${tail}`;
  expect(formatProblems(problemsIn(text), text)).toBe(
    [
      "stamp.yaml:5:49 Unknown field components.api.replica",
      "    api: { kind: service, command: x, port: auto, replica: 2 }",
      `  ${" ".repeat(48)}^`,
      '  Did you mean "replicas"?',
    ].join("\n"),
  );
});

test("formatProblems() shows a window of a long line, tabs as tabs, and no control character", () => {
  const long = `${head}components: { api: { kind: service, command: x, env: { A: ${"y".repeat(400)} }, prot: auto } }\n${tail}`;
  const shown = formatProblems(problemsIn(long), long);
  expect(Math.max(...shown.split("\n").map((line) => line.length))).toBeLessThan(200);
  const caret = shown.split("\n")[2] ?? "";
  expect(shown.split("\n")[1]?.slice(caret.indexOf("^")).startsWith("prot")).toBe(true);
  const hostile = "kind: \u001b[31m\n";
  expect(formatProblems(problemsIn(hostile), hostile)).not.toContain("\u001b");
});

const secret = "hunter2-correct-horse";
const components = (text: string) => `${head}components:\n${text}\n${tail}`;
const hostile: readonly (readonly [string, string])[] = [
  ["next to a wrong reference", components(`  api: { kind: service, command: x, env: { P: "${secret}\${x.url}" } }`)],
  [
    "as a block text",
    components(`  api:\n    kind: servce\n    env:\n      P: |\n        ${secret}\n        \${db.url\n`),
  ],
  ["a list in its place", components(`  api:\n    kind: service\n    env:\n      P: [${secret}]`)],
  ["a control character in it", components(`  api: { kind: service, env: { P: "${secret}\\0" } }`)],
  ["an open quote", components(`  api:\n    kind: service\n    env:\n      P: "${secret}\n      Q: 1`)],
  ["an open quote on one line", components(`  api: { kind: service, env: { P: "${secret} } }`)],
  ["behind a long broken line", components(`  api: { env: { A: "${"x".repeat(600)}\n   ${secret} }`)],
  ["two colons", components(`  api:\n    env:\n      P: ${secret}: ${secret}\n`)],
  ["a tab", components(`  api:\n    env:\n\t  P: ${secret}\n`)],
  ["wrong indentation", components(`  api:\n    env:\n        P: ${secret}\n      Q: ${secret}\n     x`)],
  ["a NUL in the file", components(`  api:\n    env:\n      P: ${secret}\0\n`)],
  ["an anchor", components(`  api:\n    env:\n      P: &a ${secret}\n      Q: *a\n`)],
  ["a tag", components(`  api:\n    env:\n      P: !x ${secret}\n`)],
  ["twice", components(`  api:\n    env:\n      P: ${secret}\n      P: ${secret}\n`)],
  ["a literal secret of an external", components(`  s: { kind: external, url: "https://s", secret: ${secret} }`)],
  ["a password in a URL", components(`  s: { kind: external, url: "https://u:${secret}@s" }`)],
  ["a field that is not ours", components(`  db: { kind: postgres, password: ${secret} }`)],
  ["env as a text", components(`  api: { kind: service, command: x, env: ${secret} }`)],
  ["a default of another type", `${head}parameters: { token: { type: number, default: ${secret} } }\n${tail}`],
];

test.each(hostile)("I33 problems never show a secret: %s", (_, text) => {
  const problems = problemsIn(text);
  expect(problems.length).toBeGreaterThan(0);
  const error = manifestError(problems, text);
  for (const shown of [
    formatProblems(problems, text),
    JSON.stringify(problems),
    JSON.stringify(error),
    error.message,
  ]) {
    expect(shown).not.toContain("hunter2");
    expect(shown).not.toContain("horse");
  }
});

test("manifestError() carries every problem with its source line", () => {
  const text = `${head}componants: {}\n${tail}`;
  const error = manifestError(problemsIn(text), text);
  expect(error.code).toBe("INVALID_MANIFEST");
  expect(error.message).toBe("3 problems in stamp.yaml");
  expect(error.problems.map((problem) => problem.message)).toContain("Unknown field componants");
  expect(error.problems.find((problem) => problem.path === "componants")?.excerpt).toBe("componants: {}\n^");
});
