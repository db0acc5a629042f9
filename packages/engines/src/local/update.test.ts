import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Component, StampObservation } from "@stampyard/domain";
import { jobFixture, serviceFixture } from "@stampyard/testing";
import { expect, test } from "vitest";
import { call, never, openTestEngine, redis, until } from "./test-engine.ts";

/** What happens inside a stamp while it goes from one release to another, and back. */

type Edit = Parameters<typeof serviceFixture>[2];
const api = (edit: Edit = {}) => serviceFixture("api", "serve.mjs", edit);
const other = (edit: Edit = {}) => serviceFixture("other", "serve.mjs", edit);
const named = (name: string): Edit => ({ env: { NAME: [name] } });
const broken: Edit = {
  env: { NAME: ["new"], BROKEN: ["1"] },
  health: { path: "/healthz", timeoutMs: 500, startWithinMs: 900 },
};

const pids = (seen: StampObservation) => seen.components.map(({ name, pid }) => `${name} ${pid}`);
const say = async (port: number | undefined) => (await fetch(`http://127.0.0.1:${port}/`)).text();
const isSilent = async (port: number | undefined) =>
  (await say(port).catch(() => undefined)) === undefined ? true : undefined;

test("apply() runs a job once for each release, also when the stamp comes back to one", async () => {
  await using under = await openTestEngine();
  const counted = join(under.dir, "counted");
  // Jobs run as the stamp's user.
  writeFileSync(counted, "", { mode: 0o666 });
  chmodSync(counted, 0o666);
  const release = (extra: string) =>
    under.spec("eu-1", [
      api(named(extra)),
      jobFixture("migrate", "count.mjs", { env: { COUNT_FILE: [counted], EXTRA: [extra] } }),
    ]);
  const [one, two] = [release("one"), release("two")];
  const runs = async (spec: typeof one) => {
    await under.engine.apply(spec, call);
    return readFileSync(counted, "utf8").length;
  };
  expect([await runs(one), await runs(two), await runs(one), await runs(two), await runs(one)]).toEqual([
    1, 2, 2, 2, 2,
  ]);
  expect(await under.engine.plan(one, never)).toEqual([]);
  // A release without it, and back.
  await under.engine.apply(under.spec("eu-1", [api(named("three"))]), call);
  expect(await runs(two)).toBe(2);
});

test("apply() that fails half way leaves routers where they were, and the way back starts no process", async () => {
  await using under = await openTestEngine();
  const before = under.spec("eu-1", [api(named("old")), other(named("old"))]);
  const old = await under.engine.apply(before, call);
  const after = under.spec("eu-1", [api(named("new")), other(broken)]);
  await expect(under.engine.apply(after, call)).rejects.toMatchObject({ code: "STAMP_FAILED" });
  const half = await under.engine.observe("eu-1", never);
  expect(half.stampDigest).toBeUndefined();
  expect(half.endpoints).toEqual(old.endpoints);
  expect(half.endpointRevision).toBe(old.endpointRevision);
  expect(await say(half.endpoints[0]?.port)).toBe("old");
  const back = await under.engine.apply(before, call);
  expect(back.stampDigest).toBe(before.rendered.stampDigest);
  expect(pids(back)).toEqual(pids(old));
  expect(back.endpoints).toEqual(old.endpoints);
  expect(await say(back.endpoints[0]?.port)).toBe("old");
});

test("apply() brings services one after the other, and none after one that failed", async () => {
  await using under = await openTestEngine();
  const three = (edit: (name: string) => Edit): readonly Component[] =>
    ["api", "one", "two"].map((name) => serviceFixture(name, "serve.mjs", edit(name)));
  const first = await under.engine.apply(
    under.spec(
      "eu-1",
      three(() => named("old")),
    ),
    call,
  );
  const steps: string[] = [];
  const progress = ({ step, state, component }: { step: string; state: string; component?: string }) => {
    if (step === "replace") steps.push(`${component} ${state}`);
  };
  await under.engine.apply(
    under.spec(
      "eu-1",
      three(() => named("new")),
    ),
    { ...call, progress },
  );
  expect(steps).toEqual(["api begin", "api end", "one begin", "one end", "two begin", "two end"]);
  const bad = under.spec(
    "eu-1",
    three((name) => (name === "one" ? broken : named("worse"))),
  );
  const seen = await under.engine.observe("eu-1", never);
  await expect(under.engine.apply(bad, call)).rejects.toMatchObject({
    message: expect.stringContaining("Component one"),
  });
  const left = await under.engine.observe("eu-1", never);
  expect(pids(left).slice(1)).toEqual(pids(seen).slice(1));
  expect(left.endpointRevision).toBe(seen.endpointRevision);
  expect(seen.endpointRevision).toBeGreaterThan(first.endpointRevision);
});

test("apply() with fewer replicas lets those that go answer until routers know", async () => {
  await using under = await openTestEngine();
  const before = await under.engine.apply(under.spec("eu-1", [api({ replicas: 2 })]), call);
  const [, second] = before.endpoints;
  const spec = under.spec("eu-1", [api({ replicas: 1 })]);
  const after = await under.engine.apply(spec, call);
  expect(after.endpoints).toEqual(before.endpoints.slice(0, 1));
  expect(after.components).toHaveLength(1);
  expect(after.stampDigest).toBe(spec.rendered.stampDigest);
  expect(await under.engine.plan(spec, never)).toEqual([]);
  expect(await say(second?.port)).toBe("api");
  await until("the second replica to end", () => isSilent(second?.port));
  await until("its port to be free", () =>
    Object.keys(under.ledgerOf("eu-1")?.ports ?? {}).length === 1 ? true : undefined,
  );
});

test("apply() without a store keeps it as long as an old process may use it", async () => {
  await using under = await openTestEngine();
  const old = await under.engine.apply(under.spec("eu-1", [redis, api(named("old"))]), call);
  const cache = old.components.find(({ name }) => name === "cache")?.pid ?? 0;
  const after = await under.engine.apply(under.spec("eu-1", [api(named("new"))]), call);
  expect(after.components.map(({ name }) => name)).toEqual(["api"]);
  expect(await say(old.endpoints[0]?.port)).toBe("old");
  expect(existsSync(`/proc/${cache}`)).toBe(true);
  await until("the old process to end", () => isSilent(old.endpoints[0]?.port));
  await until("its cache to end", () => (existsSync(`/proc/${cache}`) ? undefined : true));
});

test("an old process that dies while an update takes its time comes back as what it was", async () => {
  await using under = await openTestEngine();
  const gate = join(under.dir, "gate");
  const wait = `const { existsSync } = await import("node:fs"); while (!existsSync(process.env.GATE)) await new Promise((go) => setTimeout(go, 50));`;
  writeFileSync(join(under.sourceDir, "wait.mjs"), wait);
  const old = await under.engine.apply(under.spec("eu-1", [api(named("old"))]), call);
  const next = under.spec("eu-1", [
    api({
      env: { NAME: ["new"] },
      health: { path: "/nowhere-before", timeoutMs: 500, startWithinMs: 5_000 },
      after: ["migrate"],
    }),
    jobFixture("migrate", "wait.mjs", { env: { GATE: [gate] } }),
  ]);
  const applied = under.engine.apply(next, call);
  const pid = old.components[0]?.pid ?? 0;
  await until("the job to run", async () =>
    (await under.engine.observe("eu-1", never)).stampDigest === undefined ? true : undefined,
  );
  process.kill(pid, "SIGKILL");
  // Its port may not be free yet: then it has another one, and its endpoint says so.
  const mended = await until("the old release to serve again", async () => {
    const { components, endpoints } = await under.engine.observe("eu-1", never);
    const [seen] = components;
    if (seen?.status !== "healthy" || seen.pid === pid) return undefined;
    const text = await say(endpoints[0]?.port).catch(() => undefined);
    return text === undefined ? undefined : { ...seen, text };
  });
  expect(mended).toMatchObject({ restarts: 1, text: "old" });
  writeFileSync(gate, "");
  const seen = await applied;
  expect(await say(seen.endpoints[0]?.port)).toBe("new");
});
