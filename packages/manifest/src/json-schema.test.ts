import { isName } from "@stampyard/domain";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { name } from "./field.ts";
import { jsonSchemas } from "./json-schema.ts";

test.each(Object.entries(jsonSchemas()))("%s in schemas/ is up to date", (file, schema) => {
  const kept = readFileSync(new URL(`../schemas/${file}`, import.meta.url), "utf8");
  expect(kept, "make it anew: npm run schemas -w @stampyard/manifest").toBe(`${JSON.stringify(schema, null, 2)}\n`);
});

test.each(Object.entries(jsonSchemas()))("%s describes every field, for editors", (_, schema) => {
  const silent: string[] = [];
  const visit = (node: unknown, path: string) => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key === "properties") {
        for (const [field, of] of Object.entries(value as Record<string, { description?: string }>)) {
          if (of.description === undefined) silent.push(`${path}.${field}`);
        }
      }
      visit(value, `${path}.${key}`);
    }
  };
  visit(schema, "");
  expect(silent).toEqual([]);
  expect(schema).toMatchObject({ $schema: "http://json-schema.org/draft-07/schema#", additionalProperties: false });
});

test("names in files are the names of the domain", () => {
  const near = fc.array(fc.constantFrom("a", "z", "0", "-", "--", "A", ".", "a".repeat(39)), { maxLength: 5 });
  fc.assert(
    fc.property(
      near.map((parts) => parts.join("")),
      (text) => {
        expect(name("stamp").safeParse(text).success, text).toBe(isName(text));
      },
    ),
    { numRuns: 2_000 },
  );
});
