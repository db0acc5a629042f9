import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, type LightFleet, lightFleet, until } from "../light-fleet.ts";

/** A fleet that fell silent: what was usual is known, and only requests of our own can say whether a release is good. */
const isLong = process.env["STAMPYARD_ROLLOUTS"] === "long";
let fleet: LightFleet;
let api: string;
let router: string;

beforeAll(async () => {
  if (!isLong) return;
  fleet = lightFleet("thin");
  const manifest = join(fleet.dir, "fleet.yaml");
  const [plain = ""] = readFileSync(manifest, "utf8").split(/^rollout:/m);
  const pools = plain.replace("min: 1, max: 2", "min: 3, max: 3");
  writeFileSync(
    manifest,
    `${pools}rollout:
  canary: { leastPerMinute: 0, bake: 15s }
  waves: [{ rest: true }]
  maxUnavailable: 2
  bake: 15s
  gate:
    errors: { leastRequests: { updated: 120, siblings: 240 } }
    probes: [{ name: home, path: / }]
    wait: 30s
`,
  );
  process.env["STAMPYARD_EVIDENCE_MS"] = "1000";
  ({ api, router } = await fleet.up());
}, 120_000);
afterAll(async () => {
  delete process.env["STAMPYARD_EVIDENCE_MS"];
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

interface Seen {
  readonly id: string;
  readonly phase: string;
  readonly gate?: {
    readonly checks: readonly { readonly name: string; readonly verdict: string; readonly text: string }[];
  };
}

async function call<T>(path: string): Promise<T> {
  const token = readFileSync(join(fleet.state, "secrets/admin.token"), "utf8").trim();
  const answer = await fetch(`${api}${path}`, { headers: { authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Applies, and gives what its rollout came to. */
async function roll(): Promise<Seen> {
  const before = (await call<{ items: Seen[] }>("/v1/rollouts?limit=1")).items[0]?.id;
  const { code, err } = await fleet.run(["apply"]);
  expect(code, err).toBe(0);
  return await until(
    "the rollout to end",
    async () => {
      const [newest] = (await call<{ items: Seen[] }>("/v1/rollouts?limit=1")).items;
      if (newest === undefined || newest.id === before) return undefined;
      const ended = ["done", "aborted", "paused", "superseded"].includes(newest.phase);
      return ended ? await call<Seen>(`/v1/rollouts/${newest.id}`) : undefined;
    },
    150_000,
  );
}

test.runIf(isLong)(
  "a good release of a fleet that fell silent goes through by requests of our own",
  async () => {
    const tenants = ["t1", "t2", "t3"];
    for (const tenant of tenants) await fleet.json("tenant", "create", tenant, "--pool", "shared");
    for (const end = Date.now() + 20_000; Date.now() < end; ) {
      await Promise.all(tenants.map((tenant) => ask(router, tenant)));
      await delay(30);
    }
    fleet.release("2.0.0", 0);
    const seen = await roll();
    expect(seen.phase, JSON.stringify(seen)).toBe("done");
    const left = await fleet.json("status");
    expect(JSON.stringify(left)).not.toContain("stampyard-verify");
  },
  180_000,
);
