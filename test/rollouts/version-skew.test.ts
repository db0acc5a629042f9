import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, until } from "../light-fleet.ts";
import { report } from "../long-report.ts";
import { goodAgain } from "./faults/releases.ts";
import { type Load, startLoad } from "./load.ts";
import { type MutedRouter, mutedRouter } from "./muted-router.ts";
import { beforeRollouts, buildPrevious, hasPrevious } from "./previous.ts";
import { type RolloutFleet, rolloutFleet } from "./rollout-fleet.ts";

/**
 * A fleet that was made by the programs of before: its control plane is replaced first, as the manual says, then its
 * router, while stamp hosts stay what they are. Nobody may notice, and a rollout is never passed on what an old router
 * does not tell.
 */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const isLong = process.env["STAMPYARD_ROLLOUTS"] === "long";
const strategy = `rollout:
  canary: { leastPerMinute: 60, bake: 5s }
  waves: [{ rest: true }]
  bake: 4s
  gate: { errors: { leastRequests: { updated: 100, siblings: 100 } }, latency: { worse: 10s } }
`;

/** Where everything listened before, since clients and routers know no other address. */
const samePorts = ["up", "--timeout", "12"];

if (isLong && !hasPrevious()) console.log(`Skipped: the history does not reach back to ${beforeRollouts}`);
describe.skipIf(!isLong || !hasPrevious())("programs of two versions", { timeout: 150_000 }, () => {
  let fleet: RolloutFleet;
  let load: Load;
  let newer: MutedRouter | undefined;
  beforeAll(async () => {
    fleet = await rolloutFleet({ name: "skew", stamps: 3, tenants: 3, checkout: buildPrevious() });
    load = startLoad({ router: fleet.router, homes: fleet.homes, perSecond: 10 });
  }, 300_000);
  afterAll(async () => {
    await load?.stop();
    await newer?.[Symbol.asyncDispose]();
    await fleet?.[Symbol.asyncDispose]();
  }, 120_000);

  /** Ends a program of the fleet, and waits until it has ended: `up` leaves alone what still runs. */
  const end = async (file: string, signal: "SIGTERM" | "SIGKILL") => {
    const { pid } = JSON.parse(readFileSync(join(fleet.state, file), "utf8")) as { pid: number };
    process.kill(pid, signal);
    await until(`process ${pid} to end`, () => (isThere(pid) ? undefined : true), 30_000);
  };
  const noFailure = (what: string) => {
    const { counts, failed } = load.take();
    const requests = [...counts.values()].reduce((sum, count) => sum + count.requests, 0);
    report(`skew: ${what}`, { requests, failed: failed.length });
    expect(requests).toBeGreaterThan(0);
    expect(failed, what).toEqual([]);
  };

  /** Something usual, of the programs that run now. */
  const aPast = async () => {
    let requests = 0;
    await until(
      "a past",
      () => {
        for (const count of load.take().counts.values()) requests += count.requests;
        return requests > 900 ? true : undefined;
      },
      60_000,
    );
  };
  const latest = async () => {
    const { items } = await fleet.call<{ items: { id: string }[] }>("GET", "/v1/rollouts?limit=1");
    return { id: items[0]?.id ?? "" };
  };

  test("a new router follows an old control plane", async () => {
    newer = await mutedRouter(fleet.api, fleet.state, fleet.dir);
    await until("the new router to be known", async () => {
      const { items } = await fleet.call<{ items: { name: string }[] }>("GET", "/v1/routers");
      return items.some(({ name }) => name === "muted") || undefined;
    });
    noFailure("a new router beside the old one");
  });

  test("a new control plane takes over, and no release passes on the counts that an old router does not tell (I35)", async () => {
    await end("control-plane.json", "SIGTERM");
    fleet.use(root);
    const file = join(fleet.dir, "fleet.yaml");
    writeFileSync(file, readFileSync(file, "utf8") + strategy);
    // The new one keeps the files that stamps run from, which is another release of the same version.
    await newer?.[Symbol.asyncDispose]();
    newer = undefined;
    const { err } = await fleet.run(...samePorts);
    const { id } = await latest();
    expect(id, err).not.toBe("");
    const waiting = await until("its gate to miss counts", async () => {
      const { phase, gate } = await fleet.rollout(id);
      return gate?.checks.some(({ text }) => text.includes("missing or late")) === true ? phase : undefined;
    });
    expect(["baking", "paused"]).toContain(waiting);
    expect((await fleet.members(id)).filter(({ phase }) => phase === "updated")).toHaveLength(1);
    // The old router follows the new feed: it hears of a tenant that is made meanwhile.
    await fleet.call("POST", "/v1/tenants?wait=30000", { key: "late", stamp: "shared-1" });
    expect(await ask(fleet.router, "late")).toMatchObject({ status: 200 });
    noFailure("a new control plane under an old router");
    await fleet.call("POST", `/v1/rollouts/${id}/abort`, {});
    expect(await fleet.settled(id, 60_000)).toMatchObject({ phase: "aborted" });
    noFailure("a way back by old hosts");
  });

  test("with a new router the next rollout goes to its end, by hosts that are old", async () => {
    // Its processes serve on without it, and give their port to the next one.
    await end("router/router.json", "SIGKILL");
    await fleet.run(...samePorts);
    noFailure("a new router in the place of the old one");
    // What was taken back is wanted again, and nothing is known of what was usual: the old router told nothing.
    const { id } = await latest();
    expect(await fleet.rollout(id)).toMatchObject({ phase: "baking", waitingOn: expect.stringContaining("no past") });
    await fleet.call("POST", `/v1/rollouts/${id}/abort`, {});
    expect(await fleet.settled(id, 60_000)).toMatchObject({ phase: "aborted" });
    await aPast();
    const next = await fleet.apply(goodAgain(2));
    expect(await fleet.settled(next.id, 90_000)).toMatchObject({ phase: "done" });
    noFailure("a rollout by old hosts and a new router");
  });
});

/** A process that has ended and that nobody has waited for has ended. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
