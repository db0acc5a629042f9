import type { Digest, MemberState } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import {
  aborting,
  aimFixture,
  fleetOf,
  finish,
  memberFixture,
  rolloutFixture,
  step,
  updating,
} from "./test-rollouts.ts";
import { fleetFixture, releaseFixture } from "./test-store.ts";
import { openLed } from "./test-moves.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
}, 60_000);
afterAll(async () => {
  await postgres?.[Symbol.asyncDispose]();
});

const files = (version: string) => `sha256:files-of-${version}` as Digest;

test("wantedContents() names whatever a stamp, a rollout, an undoing or a pin may start from, and a few others (I37)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  const keep = async (version: string, more: object = {}) =>
    await store.fleet.keepRelease({ ...releaseFixture(version), content: files(version), ...more }, ctx);
  const versions = ["1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0", "6.0.0", "7.0.0", "8.0.0"];
  for (const version of versions) await keep(version);
  await fleetOf(store, ctx, ["a", "b"]);
  const wanted = async (others = 0) => [...(await store.rollouts.wantedContents(others))].sort();

  expect(await wanted(), "the fleet's and its stamps'").toEqual(["1.0.0"].map(files));
  expect(await wanted(2), "with the newest two").toEqual(["1.0.0", "7.0.0", "8.0.0"].map(files));

  const to = (version: string) => ({ release: releaseFixture(version).digest });
  const roll = async (version: string, from: string, runs = version) => {
    const members = ["a", "b"].map((name, place) =>
      memberFixture(name, 0, { place, from: aimFixture(name, from), to: aimFixture(name, runs) }),
    );
    return (await store.rollouts.start(rolloutFixture(["one"], { ...to(version), members }), ctx)).value.id;
  };
  const abort = async (id: string) => {
    const both = (state: MemberState) => ({ a: state, b: state });
    await step(store, ctx, id, updating(), both({ kind: "updating", since: 1 }));
    await step(store, ctx, id, aborting, both({ kind: "returning", since: 2 }));
    const end = { kind: "aborted", at: 3, cause: "a test", by: "tester" } as const;
    await step(store, ctx, id, end, both({ kind: "returned", at: 3 }));
  };
  const second = await roll("2.0.0", "1.0.0");
  expect(await wanted(), "queued").toEqual(["1.0.0", "2.0.0"].map(files));
  await finish(store, ctx, second);
  expect(await wanted(), "it may be undone").toEqual(["1.0.0", "2.0.0"].map(files));
  await finish(store, ctx, await roll("3.0.0", "2.0.0"));
  expect(await wanted(), "nobody goes back two").toEqual(["2.0.0", "3.0.0"].map(files));

  const composed = await roll("6.0.0", "3.0.0", "7.0.0");
  expect(await wanted(), "parts of one, and what is composed of them").toEqual(
    ["2.0.0", "3.0.0", "6.0.0", "7.0.0"].map(files),
  );
  await abort(composed);
  expect(await wanted(), "who went back may undo what it ran before").toEqual(["2.0.0", "3.0.0"].map(files));

  // Back to 2.0.0 by another rollout: then the one that brought it can be undone as well.
  await finish(store, ctx, await roll("2.0.0", "3.0.0"));
  expect(await wanted()).toEqual(["1.0.0", "2.0.0", "3.0.0"].map(files));

  // Aimed elsewhere past all rollouts: what was good before stays, and what new stamps were built from before it.
  const { revision = 0 } = (await store.fleet.read()) ?? {};
  const aimed = ["a", "b"].map((name) => {
    const { release: releaseDigest, ...aim } = aimFixture(name, "4.0.0");
    return { name, releaseDigest, ...aim };
  });
  const input = { fleet: fleetFixture(), release: releaseFixture("4.0.0"), stampCreates: [], stampUpdates: aimed };
  await store.fleet.apply({ ...input, expectedRevision: revision }, ctx);
  expect(await wanted()).toEqual(["2.0.0", "3.0.0", "4.0.0"].map(files));

  await store.pins.set(
    {
      subject: { kind: "stamp", name: "b" },
      release: to("5.0.0").release,
      until: Date.now() + 60_000,
      reason: "a test",
    },
    ctx,
  );
  expect(await wanted(), "pinned").toContain(files("5.0.0"));
});

test("wantedContents() names files of parts that were taken from another release", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  const plain = releaseFixture("1.0.0");
  const component = { name: "db", kind: "service", content: files("other") };
  const template = { ...plain.template, stages: [{ engine: "local", components: [component] }] };
  const release = { ...plain, content: files("own"), template } as unknown as typeof plain;
  const input = { fleet: fleetFixture(), stampCreates: [], stampUpdates: [], expectedRevision: 0 };
  await store.fleet.apply({ ...input, release }, ctx);
  expect([...(await store.rollouts.wantedContents(0))].sort()).toEqual([files("other"), files("own")]);
});
