import fc from "fast-check";
import { expect, test } from "vitest";
import { parseText, splitCommand } from "./text.ts";

test.each([
  ["", []],
  ["plain", ["plain"]],
  ["${db.url}", [{ of: "db", field: "url" }]],
  ["a${db.url}b${x-1.migrationUrl}", ["a", { of: "db", field: "url" }, "b", { of: "x-1", field: "migrationUrl" }]],
  ["$${db.url}", ["${db.url}"]],
  ["cost: 5$ and $HOME", ["cost: 5$ and $HOME"]],
  ["$$${a.b}", ["$${a.b}"]],
])("parseText(%s)", (source, parts) => {
  expect(parseText(source)).toMatchObject({ kind: "text", parts });
});

test.each([
  ["a${", 1],
  ["${}", 0],
  ["${db}", 0],
  ["${db.url", 0],
  ["${db.url.x}", 0],
  ["${ db.url }", 0],
  ["${DB.url}", 0],
  ["$${ok} ${../x.y}", 7],
])("parseText(%s) finds the malformed reference at %i", (source, index) => {
  expect(parseText(source)).toEqual({ kind: "malformed", index });
});

test("parseText() gives back any text that was escaped", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("$", "{", "}", "a", ".", "${", "é")), (parts) => {
      const literal = parts.join("");
      const scan = parseText(literal.replaceAll("${", () => "$${"));
      expect(scan).toMatchObject({ kind: "text", parts: literal === "" ? [] : [literal] });
    }),
  );
});

test.each([
  ["node dist/api.js", ["node", "dist/api.js"]],
  ["  a   b  ", ["a", "b"]],
  [`a 'b c' "d e" f'g'h ""`, ["a", "b c", "d e", "fgh", ""]],
  ["a --x=${self.port} '|'", ["a", "--x=${self.port}", "|"]],
])("splitCommand(%s)", (line, words) => {
  expect(splitCommand(line)).toEqual({ kind: "words", words });
});

test.each(["a | b", "a || b", "a && b", "a; b", "a > x", "a 2>&1", "a &", "a < x", "a 'b", "", "  ", '""'])(
  "splitCommand(%s) is refused",
  (line) => {
    expect(splitCommand(line)).toMatchObject({ kind: "fault" });
  },
);
