import fc from "fast-check";
import { stampNext, type StampPhase } from "../stamp.ts";
import type { PlacementCandidate, PlacementOverride, PlacementRequest, PlacementSettings } from "./candidate.ts";

export const acme: PlacementRequest = {
  key: "acme",
  pool: "main",
  tenancy: "shared",
  tier: "standard",
  residency: [],
  weight: {},
};

/** An active stamp in eu with two free places. */
export function candidate(name: string, over: Partial<PlacementCandidate> = {}): PlacementCandidate {
  return {
    name,
    pool: "main",
    region: "eu",
    phase: "active",
    limits: { tenants: 2 },
    used: {},
    usedBasis: "reserved",
    high: 1,
    tenancy: "shared",
    ...over,
  };
}

const amount = fc.nat({ max: 5 });
const tenancy = fc.constantFrom("shared" as const, "dedicated" as const);
const names = ["a", "b", "c", "d", "e", "f"];
const phase = fc.constantFrom(
  "active" as const,
  "active" as const,
  "active" as const,
  ...(Object.keys(stampNext) as StampPhase[]),
);

export const anyCandidates: fc.Arbitrary<readonly PlacementCandidate[]> = fc.uniqueArray(
  fc.record(
    {
      name: fc.constantFrom(...names),
      pool: fc.constantFrom("main", "main", "main", "other"),
      region: fc.constantFrom("eu", "us"),
      channel: fc.constantFrom("stable", "early"),
      phase,
      trouble: fc.constant("its engine does not answer"),
      limits: fc.record({ tenants: amount, rps: amount }),
      used: fc.record({ tenants: amount, rps: amount }),
      usedBasis: fc.constant("reserved" as const),
      high: fc.constantFrom(1, 1, 0.8),
      reservedFor: fc.constantFrom("acme", "globex"),
      tenancy,
      bigTenants: fc.nat({ max: 3 }),
      quarantined: fc.boolean(),
    },
    { requiredKeys: ["name", "pool", "region", "phase", "limits", "used", "usedBasis", "high", "tenancy"] },
  ),
  { selector: (c) => c.name, maxLength: 6 },
);

const override: fc.Arbitrary<PlacementOverride> = fc.oneof(
  fc.record({ kind: fc.constant("pin" as const), stamp: fc.constantFrom(...names) }),
  fc.constant({ kind: "quarantine" as const }),
);

export const anyRequest: fc.Arbitrary<PlacementRequest> = fc.record(
  {
    key: fc.constantFrom("acme", "initech"),
    pool: fc.constant("main"),
    tenancy,
    tier: fc.constantFrom("standard", "gold"),
    residency: fc.subarray(["eu", "us"]),
    residencyRule: fc.constant("data-stays"),
    channel: fc.constantFrom("stable", "early"),
    weight: fc.record({ tenants: fc.nat({ max: 2 }), rps: amount }, { requiredKeys: [] }),
    previous: fc.constantFrom(...names),
    override,
  },
  { requiredKeys: ["key", "pool", "tenancy", "tier", "residency", "weight"] },
);

export const anySettings: fc.Arbitrary<PlacementSettings> = fc.record(
  {
    strategy: fc.constantFrom("spread" as const, "pack" as const),
    bigFrom: fc.constantFrom(0.1, 0.5),
    bigShare: fc.constantFrom(0.3, 1),
    tiers: fc.constantFrom(["gold"], ["gold", "standard"]),
    spare: fc.nat({ max: 1 }),
    canGrow: fc.record({
      stampsLeft: fc.nat({ max: 2 }),
      regions: fc.subarray(["eu", "us"], { minLength: 1 }),
    }),
  },
  { requiredKeys: [] },
);
