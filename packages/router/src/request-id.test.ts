import { expect, test } from "vitest";
import { newRequestId } from "./request-id.ts";

test("newRequestId() is a random UUID of version 4, and never the same twice", () => {
  const ids = Array.from({ length: 3_000 }, newRequestId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  // Every digit occurs at every place that is random.
  for (const place of [0, 9, 15, 20, 35]) expect(new Set(ids.map((id) => id[place])).size).toBe(16);
});
