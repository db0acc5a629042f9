import { expect, test } from "vitest";
import { formatHost, parseHost } from "./host.ts";

test.each([
  ["acme.localhost", "acme.localhost"],
  ["ACME.Localhost.:8080", "acme.localhost:8080"],
  ["127.0.0.1:80", "127.0.0.1:80"],
  ["[::1]:443", "[::1]:443"],
  ["[FE80::1]", "[fe80::1]"],
  ["under_score.example.com", "under_score.example.com"],
])("parseHost() reads %s", (text, expected) => {
  const host = parseHost(text);
  expect(host && formatHost(host)).toBe(expected);
});

test.each([
  "",
  ".",
  "a..b",
  "a.",
  "-a.b",
  "a b",
  "a,b",
  "a/b",
  "a@b",
  "a%2eb",
  "a:b",
  "a:",
  "a:0",
  "a:65536",
  "a:99999",
  "a:080x",
  "[::1",
  "::1",
  "[::1]x",
  "[a.b]",
  "é.com",
  "a\tb",
  `${"a".repeat(64)}.b`,
  `${"a.".repeat(130)}b`,
])("parseHost() refuses %j", (text) => {
  // One trailing dot is the root, and fine; what is left must still be a name.
  expect(parseHost(text)?.name).toBe(text === "a." ? "a" : undefined);
});
