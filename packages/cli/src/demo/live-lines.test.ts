import { expect, test } from "vitest";
import { wrapWords } from "./live-lines.ts";

test("wrapWords() breaks between words only, and keeps what is longer than a line whole", () => {
  expect(wrapWords("the control plane is dead", 12)).toEqual(["the control", "plane is", "dead"]);
  expect(wrapWords("see http://acme.localhost:8080/ now", 10)).toEqual(["see", "http://acme.localhost:8080/", "now"]);
  expect(wrapWords("  indented stays", 80)).toEqual(["  indented stays"]);
  expect(wrapWords("one line", Number.POSITIVE_INFINITY)).toEqual(["one line"]);
});
