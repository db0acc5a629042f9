import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { minuteOf, signRoute, verifyRoute } from "./route-header.ts";
import { formatRouteKeys, makeRouteKey, parseRouteKeys } from "./route-key.ts";

interface Vectors {
  readonly stamp: string;
  readonly nowMs: number;
  readonly keys: readonly { readonly kid: string; readonly secret: string }[];
  readonly cases: readonly {
    readonly name: string;
    readonly header: string | null;
    readonly nowMs?: number;
    readonly expect:
      | { readonly kind: "ok"; readonly tenant: string | null; readonly epoch: number }
      | { readonly kind: "refuse"; readonly reason: string };
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../vectors/route-header-v1.json", import.meta.url), "utf8"),
) as Vectors;
const keys = vectors.keys.map(({ kid, secret }) => makeRouteKey(kid, secret));

describe("verifyRoute() against the published vectors", () => {
  test.each(vectors.cases)("$name", (vector) => {
    const verdict = verifyRoute(vector.header ?? undefined, {
      stamp: vectors.stamp,
      keys,
      nowMs: vector.nowMs ?? vectors.nowMs,
    });
    expect(verdict.kind === "ok" ? { ...verdict, tenant: verdict.tenant ?? null } : verdict).toEqual(vector.expect);
  });

  test("signRoute() writes exactly the good ones", () => {
    let signed = 0;
    for (const { header, expect: wanted } of vectors.cases) {
      if (wanted.kind !== "ok" || header === null) continue;
      const [, kid, , stamp = "", , minute] = header.split(";");
      const key = keys.find((candidate) => candidate.kid === kid);
      if (key === undefined) throw new Error(`No key ${kid}`);
      const claim = { tenant: wanted.tenant ?? undefined, stamp, epoch: wanted.epoch, minute: Number(minute) };
      expect(signRoute(claim, key)).toBe(header);
      signed += 1;
    }
    expect(signed).toBeGreaterThan(5);
  });
});

test("verifyRoute() refuses two headers, and counts none as missing", () => {
  const [key] = keys;
  if (key === undefined) throw new Error("No key");
  const nowMs = vectors.nowMs;
  const header = signRoute({ tenant: "acme", stamp: "eu-1", epoch: 1, minute: minuteOf(nowMs) }, key);
  const verify = (value: string[]) => verifyRoute(value, { stamp: "eu-1", keys, nowMs });
  expect(verify([header, header])).toEqual({ kind: "refuse", reason: "malformed" });
  expect(verify([])).toEqual({ kind: "refuse", reason: "missing" });
});

test.each([
  { tenant: "Acme", stamp: "eu-1", epoch: 1, minute: 1 },
  { tenant: "acme", stamp: "eu;1", epoch: 1, minute: 1 },
  { tenant: "acme", stamp: "eu-1", epoch: 0, minute: 1 },
  { tenant: "acme", stamp: "eu-1", epoch: 1.5, minute: 1 },
  { tenant: undefined, stamp: "eu-1", epoch: 1, minute: 1 },
  { tenant: "acme", stamp: "eu-1", epoch: 1, minute: Number.NaN },
])("signRoute() refuses to write what no guard would read: %o", (claim) => {
  const [key] = keys;
  if (key === undefined) throw new Error("No key");
  expect(() => signRoute(claim, key)).toThrow(RangeError);
});

describe("route keys", () => {
  const secret = Buffer.alloc(32, 1).toString("base64url");

  test("parseRouteKeys() reads what formatRouteKeys() wrote, current first", () => {
    const text = formatRouteKeys([
      { kid: "b", secret },
      { kid: "a", secret },
    ]);
    expect(parseRouteKeys(text).map((key) => key.kid)).toEqual(["b", "a"]);
  });

  test.each([
    "",
    "k1",
    `k1:${secret}=`,
    `k1:${secret.slice(1)}`,
    `k1:${secret},`,
    `k 1:${secret}`,
    `:${secret}`,
    `k1:${secret},k1:${secret}`,
    `k1: ${secret.slice(1)}`,
    `k1:${secret.slice(0, -1)}B`,
    Array.from({ length: 9 }, (_, n) => `k${n}:${secret}`).join(","),
  ])("parseRouteKeys() refuses case %#, without showing a secret (I33)", (text) => {
    let message = "";
    try {
      parseRouteKeys(text);
    } catch (caught) {
      message = caught instanceof RangeError ? caught.message : "another error";
    }
    expect(message).toMatch(/route key/i);
    expect(message).not.toContain(secret.slice(4, 20));
  });
});
