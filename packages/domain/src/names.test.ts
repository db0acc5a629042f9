import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StampyardError } from "./errors.ts";
import { isHostname, isName, isTenantKey, quote, requireHostname, requireName, requireTenantKey } from "./names.ts";

const hostile = [
  "",
  " ",
  "../etc",
  "a/b",
  "a;rm -rf",
  "a'b",
  'a"b',
  "a b",
  "a\nb",
  "a\u0000b",
  "$(id)",
  "`id`",
  "A",
  "é",
  "a_b",
  "a.b",
  "-a",
  "a-",
];

describe("names", () => {
  test("isName() takes what is safe as a directory, database, hostname and variable", () => {
    for (const good of ["a", "eu-1", "notes", "a1", "x".repeat(40)]) expect(isName(good), good).toBe(true);
    for (const bad of [...hostile, "1a", "a--b", "x".repeat(41)]) expect(isName(bad), quote(bad)).toBe(false);
  });

  test("isTenantKey() takes one DNS label", () => {
    for (const good of ["acme", "7eleven", "a--b", "x".repeat(63)]) expect(isTenantKey(good), good).toBe(true);
    for (const bad of [...hostile, "x".repeat(64)]) expect(isTenantKey(bad), quote(bad)).toBe(false);
  });

  test("isTenantKey() agrees with the pattern of a DNS label", () => {
    const nearly = fc.string({
      unit: fc.constantFrom("a", "z", "0", "9", "-", "A", "_", ".", "`", "{", "/", ":", "\n"),
    });
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string({ maxLength: 70 })), (text) => {
        expect(isTenantKey(text)).toBe(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text));
      }),
    );
  });

  test("isHostname() wants two labels and no address", () => {
    for (const good of ["notes.acme.com", "a.localhost", "1.acme.com"]) expect(isHostname(good), good).toBe(true);
    const bad = [...hostile.filter((text) => text !== "a.b"), "acme", "acme.com.", "acme.com:80", "*.acme.com"];
    for (const text of [...bad, "10.0.0.1", "a..b", "::1", `${"a.".repeat(127)}com`]) {
      expect(isHostname(text), quote(text)).toBe(false);
    }
  });

  test("require…() refuses with INVALID_NAME, the quoted text and a mend", () => {
    for (const refuse of [() => requireName("pool", "A\u001b[31m"), () => requireTenantKey("A\u001b[31m")]) {
      const caught = catching(refuse);
      expect(caught.code).toBe("INVALID_NAME");
      expect(caught.message).toContain("\\u001b");
      expect(caught.mend).toMatch(/^Use /);
    }
    expect(catching(() => requireHostname("x")).code).toBe("INVALID_NAME");
    expect(requireName("pool", "eu")).toBe("eu");
  });

  test("quote() leaves nothing that a terminal would act on, and stays short", () => {
    const anyText = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(anyText, (text) => {
        const quoted = quote(text);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
        expect(quoted).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
        expect(quoted.length).toBeLessThanOrEqual(2 + 81 * 6);
      }),
    );
  });

  test("isName() accepts no text that a shell, SQL or a path would read otherwise", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 50 }), (text) => {
        if (isName(text)) expect(text).toMatch(/^[a-z0-9-]+$/);
        if (isTenantKey(text)) expect(text).toMatch(/^[a-z0-9-]+$/);
        if (isHostname(text)) expect(text).toMatch(/^[a-z0-9.-]+$/);
      }),
    );
  });
});

function catching(action: () => unknown): StampyardError {
  try {
    action();
  } catch (caught) {
    return StampyardError.from(caught);
  }
  throw new Error("Expected a refusal");
}
