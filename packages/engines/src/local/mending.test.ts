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

test("a store that dies while a service that needs it is started again is started beside it, not after it", async () => {
  await using under = await openTestEngine();
  writeFileSync(
    join(under.sourceDir, "needs-cache.mjs"),
    `import { createServer } from "node:http";
    import { connect } from "node:net";
    const path = process.env.CACHE_URL.replace(/^unix:\\/\\//, "").replace(/\\?.*$/, "");
    createServer((_request, response) => {
      const socket = connect(path, () => socket.write("PING\\r\\n"));
      const end = (status) => { socket.destroy(); response.statusCode = status; response.end(); };
      socket.setTimeout(200, () => end(500)).once("data", () => end(200)).once("error", () => end(500));
    }).listen(Number(process.env.PORT), "127.0.0.1");`,
  );
  const patient = { path: "/healthz", timeoutMs: 500, startWithinMs: 60_000 };
  const env = { CACHE_URL: [{ of: "cache", field: "url" }] };
  const needy = serviceFixture("api", "needs-cache.mjs", { env, health: patient });
  await under.engine.apply(under.spec("eu-1", [redis, needy]), call);
  const [cache, service] = (await under.engine.observe("eu-1", never)).components;
  // It does not answer, so the service cannot become healthy; and then it dies.
  process.kill(cache?.pid ?? 0, "SIGSTOP");
  process.kill(service?.pid ?? 0, "SIGKILL");
  await until("the service to be started again", async () => {
    const [, seen] = (await under.engine.observe("eu-1", never)).components;
    return seen?.status === "starting" && seen.pid !== service?.pid ? true : undefined;
  });
  process.kill(cache?.pid ?? 0, "SIGKILL");
  await until("both to be well", async () => {
    const { components } = await under.engine.observe("eu-1", never);
    return components.every(({ status, restarts }) => status === "healthy" && restarts === 1) ? true : undefined;
  });
});
