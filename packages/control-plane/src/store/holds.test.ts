import { expect, test } from "vitest";
import { readHoldEvent } from "./holds.ts";

const hold = { kind: "hold", tenant: "acme", moveId: "m1", ttlMs: 500 };
const acknowledged = { kind: "hold-acknowledged", router: "r1", tenant: "acme", moveId: "m1", inFlight: 0 };

test.each([hold, { kind: "release", tenant: "acme", moveId: "m1" }, acknowledged])(
  "readHoldEvent() takes %o",
  (event) => {
    expect(readHoldEvent(JSON.stringify(event))).toEqual([event]);
  },
);

test.each([
  "",
  "nonsense",
  "null",
  "[]",
  JSON.stringify({ ...hold, kind: "grab" }),
  JSON.stringify({ ...hold, tenant: 7 }),
  JSON.stringify({ ...hold, ttlMs: 0 }),
  JSON.stringify({ ...hold, ttlMs: 1e9 }),
  JSON.stringify({ ...hold, ttlMs: "500" }),
  JSON.stringify({ ...acknowledged, inFlight: -1 }),
  JSON.stringify({ ...acknowledged, router: undefined }),
])("readHoldEvent() leaves %s", (payload) => {
  expect(readHoldEvent(payload)).toEqual([]);
});
