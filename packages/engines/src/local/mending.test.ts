import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serviceFixture } from "@stampyard/testing";
import { expect, test } from "vitest";
import { call, hostPid, never, openTestEngine, postgres, redis, until } from "./test-engine.ts";

const api = (edit: Parameters<typeof serviceFixture>[2] = {}) => serviceFixture("api", "serve.mjs", edit);
const health = { path: "/healthz", timeoutMs: 500, startWithinMs: 700 };

test("apply() of a release that does not get healthy leaves the old process serving, and the digest with it", async () => {
  await using under = await openTestEngine();
  const old = under.spec("eu-1", [redis, api()]);
  const before = await under.engine.apply(old, call);
  const bad = under.spec("eu-1", [redis, api({ env: { NAME: ["new"], BROKEN: ["1"] }, health })]);
  await expect(under.engine.apply(bad, call)).rejects.toMatchObject({
    code: "STAMP_FAILED",
    message: expect.stringContaining("/healthz answers 500"),
  });
  const after = await under.engine.observe("eu-1", never);
  expect(after.stampDigest).toBe(old.rendered.stampDigest);
  expect(after.endpoints).toEqual(before.endpoints);
  expect(after.components.map((c) => [c.pid, c.status])).toEqual(before.components.map((c) => [c.pid, c.status]));
  expect(await (await fetch(`http://127.0.0.1:${after.endpoints[0]?.port}/`)).text()).toBe("api");
  expect(Object.keys(under.ledgerOf("eu-1")?.ports ?? {})).toHaveLength(1);
  expect((await under.engine.apply(old, call)).components).toEqual(before.components);
});

test("kill -9 of the stamp host in the middle of apply(): the call starts another and ends well", async () => {
  await using under = await openTestEngine();
  const spec = under.spec("eu-1", [postgres, redis, api({ env: { NAME: ["api"], DB: [{ of: "db", field: "url" }] } })]);
  let killed = 0;
  const seen = await under.engine.apply(spec, {
    ...call,
    progress: (event) => {
      if (killed > 0 || event.component !== "db" || event.step !== "clone") return;
      killed = hostPid(under, "eu-1");
      process.kill(killed, "SIGKILL");
    },
  });
  expect(killed).toBeGreaterThan(0);
  expect(seen.components.map((component) => component.status)).toEqual(["healthy", "healthy", "healthy"]);
});

test("a service that ran well and cannot start now is tried again until it can", async () => {
  await using under = await openTestEngine();
  await under.engine.apply(under.spec("eu-1", [redis, api()]), call);
  const script = join(under.sourceDir, "serve.mjs");
  const text = readFileSync(script, "utf8");
  rmSync(script);
  const [, running] = (await under.engine.observe("eu-1", never)).components;
  process.kill(running?.pid ?? 0, "SIGKILL");
  const sick = await until("two vain restarts", async () => {
    const [, seen] = (await under.engine.observe("eu-1", never)).components;
    return (seen?.restarts ?? 0) >= 2 ? seen : undefined;
  });
  expect(["unhealthy", "starting"]).toContain(sick.status);
  writeFileSync(script, text);
  await until("the restart that works", async () =>
    (await under.engine.observe("eu-1", never)).components[1]?.status === "healthy" ? true : undefined,
  );
});

test("a component that hangs is found by its health check and replaced", async () => {
  await using under = await openTestEngine();
  await under.engine.apply(
    under.spec("eu-1", [redis, api({ stopGraceMs: 100, health: { ...health, startWithinMs: 5_000 } })]),
    call,
  );
  const [, running] = (await under.engine.observe("eu-1", never)).components;
  process.kill(running?.pid ?? 0, "SIGSTOP");
  await until(
    "another process",
    async () => {
      const [cache, seen] = (await under.engine.observe("eu-1", never)).components;
      return seen?.status === "healthy" && seen.pid !== running?.pid && cache?.restarts === 0 ? true : undefined;
    },
    25_000,
  );
});
