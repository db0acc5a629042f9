import { expect, test } from "vitest";
import { readDraft, readIfMatch, readPaging, writeCursor } from "./input.ts";

const id = "01a2059b-7845-7d11-a393-7ec7a7db369d";

test("readDraft() takes a note and fills in what may be left out", () => {
  expect(readDraft({ title: "t" })).toEqual({ title: "t", body: "", tags: [] });
  const whole = { id, notebook: id, title: "t", body: "👍", tags: ["été", "a-b"] };
  expect(readDraft(whole)).toEqual(whole);
});

test("readDraft() refuses what cannot be stored, naming everything that is wrong", () => {
  for (const wrong of [null, [], "x", 1]) expect(() => readDraft(wrong)).toThrow("A note is a JSON object");
  const bad = { id: "x", title: "", body: "\0", tags: ["a", "a"], tenant: "other" };
  expect(() => readDraft(bad)).toThrow(/^"tenant" is not a field.*; id must.*; title must.*; body must.*; tags must/);
  expect(() => readDraft({ title: "\ud800" })).toThrow(/title/);
  expect(() => readDraft({ title: "x".repeat(201) })).toThrow(/title/);
  expect(() => readDraft({ title: "x", tags: [["a"]] })).toThrow(/tags/);
});

test("readPaging() reads back what writeCursor() wrote, and nothing else", () => {
  const cursor = { micros: "1700000000123456", id };
  const query = new URLSearchParams({ limit: "5", after: writeCursor(cursor) });
  expect(readPaging(query)).toEqual({ limit: 5, after: cursor });
  expect(readPaging(new URLSearchParams())).toEqual({ limit: 20 });
  for (const wrong of ["limit=0", "limit=101", "limit=x", "after=1", "after=1~x", `after=1~${id}~2`]) {
    expect(() => readPaging(new URLSearchParams(wrong))).toThrow(/limit must|after must/);
  }
});

test("readIfMatch() reads one revision", () => {
  expect(readIfMatch('"12"')).toBe(12);
  expect(readIfMatch(undefined)).toBeUndefined();
  expect(readIfMatch("*")).toBeUndefined();
  for (const wrong of ["12", 'W/"12"', '"1", "2"']) expect(() => readIfMatch(wrong)).toThrow(/If-Match/);
});
