import { makeRouteKey, type RouteHeaderVerdict, verifyRoute } from "@stampyard/guard";
import { expect, test } from "vitest";
import { createRouteSigner } from "./route-signer.ts";
import { keyOf } from "./test-bed/test-bed.ts";

const keys = { "eu-1": keyOf("a", 1), "eu-2": keyOf("b", 2) };

test("sign() gives one header per minute, and another as soon as epoch, stamp or key change (I2, D7)", () => {
  let nowMs = 1_800_000_000_000;
  const signer = createRouteSigner(() => nowMs);
  for (const [stamp, key] of Object.entries(keys)) signer.setKeys(stamp, [key]);
  const verdict = (stamp: keyof typeof keys, header: string | undefined, key = keys[stamp]): RouteHeaderVerdict =>
    verifyRoute(header, { stamp, keys: [makeRouteKey(key.kid, key.secret)], nowMs });

  const first = signer.sign({ tenant: "acme", stamp: "eu-1", epoch: 1 });
  expect(verdict("eu-1", first)).toEqual({ kind: "ok", tenant: "acme", epoch: 1 });
  expect(signer.sign({ tenant: "acme", stamp: "eu-1", epoch: 1 })).toBe(first);
  expect(verdict("eu-1", signer.sign({ tenant: "acme", stamp: "eu-1", epoch: 2 }))).toMatchObject({ epoch: 2 });
  expect(verdict("eu-2", signer.sign({ tenant: "acme", stamp: "eu-2", epoch: 2 }))).toMatchObject({ kind: "ok" });

  nowMs += 60_000;
  expect(signer.sign({ tenant: "acme", stamp: "eu-1", epoch: 1 })).not.toBe(first);
  const next = keyOf("next", 3);
  signer.setKeys("eu-1", [next, keys["eu-1"]]);
  expect(verdict("eu-1", signer.sign({ tenant: "acme", stamp: "eu-1", epoch: 1 }), next)).toMatchObject({ kind: "ok" });
  signer.setKeys("eu-1", []);
  expect(signer.sign({ tenant: "acme", stamp: "eu-1", epoch: 1 })).toBeUndefined();
});

test("sign() keeps every tenant's header apart, minute after minute, also when it forgets those that nobody asks for", () => {
  let nowMs = 1_800_000_000_000;
  const signer = createRouteSigner(() => nowMs);
  const key = keys["eu-1"];
  signer.setKeys("eu-1", [key]);
  // Many, then few, so that most of what is kept is dropped, then the same few again.
  for (const tenants of [5_000, 10, 10, 30]) {
    for (let n = 0; n < tenants; n++) {
      const header = signer.sign({ tenant: `t${n}`, stamp: "eu-1", epoch: 3 });
      const verdict = verifyRoute(header, { stamp: "eu-1", keys: [makeRouteKey(key.kid, key.secret)], nowMs });
      expect(verdict).toEqual({ kind: "ok", tenant: `t${n}`, epoch: 3 });
      expect(header?.split(";")[5]).toBe(String(Math.floor(nowMs / 60_000)));
    }
    nowMs += 60_000;
  }
});
