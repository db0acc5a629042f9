import {
  type Component,
  componentsOf,
  type ServiceComponent,
  type StampEngine,
  type StampSpec,
} from "@stampyard/domain";
import { describe, expect, test } from "vitest";
import { jobFixture, serviceFixture } from "./stamp-fixture.ts";

/** An engine with nothing on it yet, and what a test needs to speak to it. Disposing of it removes everything. */
export interface EngineUnderTest extends AsyncDisposable {
  readonly engine: StampEngine;
  /**
   * A specification of these components, whose scripts are `serve.mjs` (answers its NAME, and 500 on /healthz while
   * BROKEN is set), `count.mjs` (a job: prints `ran with <EXTRA>`) and `fail.mjs` (a job: prints `cannot go on`, exits 3).
   */
  spec(stamp: string, components: readonly Component[]): StampSpec;
}

/** What every engine promises (decision D1): idempotent, resumable, cancellable, fenced. */
export function describeStampEngine(name: string, open: () => Promise<EngineUnderTest>): void {
  const never = new AbortController().signal;
  const call = { token: 1, signal: never };
  const api = (edit: Partial<ServiceComponent> = {}) => serviceFixture("api", "serve.mjs", edit);
  const other = serviceFixture("other", "serve.mjs");
  const migrate = jobFixture("migrate", "count.mjs");
  const broken = api({
    env: { NAME: ["api"], BROKEN: ["1"] },
    health: { path: "/healthz", timeoutMs: 500, startWithinMs: 700 },
  });

  describe(`StampEngine contract: ${name}`, () => {
    test("observe() of a stamp that never was says absent", async () => {
      await using under = await open();
      const seen = await under.engine.observe("nobody", never);
      expect(seen).toMatchObject({ presence: "absent", host: "none", components: [], endpoints: [] });
    });

    test("plan() names what apply() would do, and does nothing", async () => {
      await using under = await open();
      const plan = await under.engine.plan(under.spec("eu-1", [api(), migrate]), never);
      expect(plan.map(({ component, change }) => [component, change]).sort()).toEqual([
        ["api", "create"],
        ["migrate", "create"],
      ]);
      expect((await under.engine.observe("eu-1", never)).presence).toBe("absent");
    });

    test("apply() ends with everything healthy, the digests and a working endpoint", async () => {
      await using under = await open();
      const spec = under.spec("eu-1", [api(), migrate]);
      const steps: string[] = [];
      const seen = await under.engine.apply(spec, { ...call, progress: (event) => steps.push(event.step) });
      expect(seen).toMatchObject({
        presence: "present",
        host: "up",
        stampDigest: spec.rendered.stampDigest,
        releaseDigest: spec.rendered.releaseDigest,
      });
      expect(seen.components.map((c) => [c.name, c.status])).toEqual([
        ["api", "healthy"],
        ["migrate", "done"],
      ]);
      expect(seen.endpoints).toHaveLength(1);
      expect(seen.endpointRevision).toBeGreaterThan(0);
      expect(steps.length).toBeGreaterThan(0);
      expect(await under.engine.observe("eu-1", never)).toEqual(seen);
    });

    test("apply() repeated changes nothing (I27)", async () => {
      await using under = await open();
      const spec = under.spec("eu-1", [api(), migrate]);
      const first = await under.engine.apply(spec, call);
      expect(await under.engine.plan(spec, never)).toEqual([]);
      expect(await under.engine.apply(spec, call)).toEqual(first);
    });

    test("apply() of another release changes only what differs, and plan() said so", async () => {
      await using under = await open();
      const first = await under.engine.apply(under.spec("eu-1", [api(), other]), call);
      const next = under.spec("eu-1", [api({ env: { NAME: ["renamed"] } }), other]);
      expect((await under.engine.plan(next, never)).map((c) => [c.component, c.change])).toEqual([["api", "update"]]);
      const seen = await under.engine.apply(next, call);
      expect(seen.stampDigest).toBe(next.rendered.stampDigest);
      const of = (observation: typeof seen, wanted: string) =>
        observation.components.find((component) => component.name === wanted);
      expect(of(seen, "other")).toEqual(of(first, "other"));
      expect(of(seen, "api")).not.toEqual(of(first, "api"));
      const moved = JSON.stringify(seen.endpoints) !== JSON.stringify(first.endpoints);
      expect(seen.endpointRevision > first.endpointRevision).toBe(moved);
    });

    test("apply() removes what the release does not name any more", async () => {
      await using under = await open();
      await under.engine.apply(under.spec("eu-1", [api(), other]), call);
      const seen = await under.engine.apply(under.spec("eu-1", [api()]), call);
      expect(seen.components.map((component) => component.name)).toEqual(["api"]);
    });

    test("update() brings one component and leaves the others, and the digest, as they were", async () => {
      await using under = await open();
      const old = under.spec("eu-1", [api(), other]);
      const first = await under.engine.apply(old, call);
      const next = under.spec("eu-1", [
        api({ env: { NAME: ["renamed"] } }),
        serviceFixture("other", "serve.mjs", { env: { NAME: ["x"] } }),
      ]);
      const half = await under.engine.update(next, "api", call);
      const otherOf = (seen: typeof half) => seen.components.find((component) => component.name === "other");
      expect(otherOf(half)).toEqual(otherOf(first));
      expect(half.stampDigest).not.toBe(next.rendered.stampDigest);
      const whole = await under.engine.update(next, "other", call);
      expect(whole.stampDigest).toBe(next.rendered.stampDigest);
    });

    test("apply() runs replicas and tells an endpoint for each", async () => {
      await using under = await open();
      const seen = await under.engine.apply(under.spec("eu-1", [api({ replicas: 2 })]), call);
      expect(seen.components.map((component) => component.replica)).toEqual([0, 1]);
      expect(new Set(seen.endpoints.map((endpoint) => `${endpoint.host}:${endpoint.port}`)).size).toBe(2);
    });

    test("apply() ends in STAMP_FAILED when a component never gets healthy, and goes on after the mend", async () => {
      await using under = await open();
      await expect(under.engine.apply(under.spec("eu-1", [broken, other]), call)).rejects.toMatchObject({
        code: "STAMP_FAILED",
        message: expect.stringContaining("api"),
      });
      const seen = await under.engine.observe("eu-1", never);
      expect(seen.stampDigest).toBeUndefined();
      expect(seen.components.find((component) => component.name === "api")?.status).toBe("failed");
      const mended = await under.engine.apply(under.spec("eu-1", [api(), other]), call);
      expect(mended.components.map((component) => component.status)).toEqual(["healthy", "healthy"]);
    });

    test("apply() given up half way says that it runs neither, and the one before comes back (I37)", async () => {
      await using under = await open();
      const before = under.spec("eu-1", [api(), other]);
      await under.engine.apply(before, call);
      const after = under.spec("eu-1", [serviceFixture("other", "serve.mjs", { env: { NAME: ["next"] } }), broken]);
      await expect(under.engine.apply(after, call)).rejects.toMatchObject({ code: "STAMP_FAILED" });
      const half = await under.engine.observe("eu-1", never);
      expect(half).toMatchObject({ presence: "present", host: "up" });
      expect(half.stampDigest, "it is neither").toBeUndefined();
      const back = await under.engine.apply(before, call);
      expect(back.stampDigest).toBe(before.rendered.stampDigest);
      expect(back.components.map(({ status }) => status)).toEqual(["healthy", "healthy"]);
    });

    test("apply() stops at its signal, and the next one goes on", async () => {
      await using under = await open();
      const slow = api({ env: broken.env, health: { path: "/healthz", timeoutMs: 500, startWithinMs: 60_000 } });
      const abort = new AbortController();
      const applied = under.engine.apply(under.spec("eu-1", [slow]), {
        token: 1,
        signal: abort.signal,
        progress: (event) => {
          if (event.component === "api") abort.abort(new Error("enough"));
        },
      });
      await expect(applied).rejects.toThrow("enough");
      const seen = await under.engine.apply(under.spec("eu-1", [api()]), call);
      expect(seen.components.map((component) => component.status)).toEqual(["healthy"]);
    });

    test("apply() twice at once makes one stamp", async () => {
      await using under = await open();
      const spec = under.spec("eu-1", [api(), migrate]);
      const [a, b] = await Promise.all([under.engine.apply(spec, call), under.engine.apply(spec, call)]);
      expect(a).toEqual(b);
      expect(a.components.map((component) => component.restarts)).toEqual([0, 0]);
    });

    test("apply(), update(), run() and destroy() refuse an older fencing token (I28)", async () => {
      await using under = await open();
      const spec = under.spec("eu-1", [api(), jobFixture("hook", "count.mjs", { run: "hook" })]);
      await under.engine.apply(spec, { ...call, token: 7 });
      const stale = { ...call, token: 6 };
      const refusal = { code: "STALE_LEADER" };
      await expect(under.engine.apply(spec, stale)).rejects.toMatchObject(refusal);
      await expect(under.engine.update(spec, "api", stale)).rejects.toMatchObject(refusal);
      await expect(under.engine.run(spec, "hook", {}, stale)).rejects.toMatchObject(refusal);
      await expect(under.engine.destroy("eu-1", stale)).rejects.toMatchObject(refusal);
      expect((await under.engine.observe("eu-1", never)).presence).toBe("present");
      await under.engine.apply(spec, { ...call, token: 8 });
    });

    test("run() runs a job with extra environment, and says why one failed", async () => {
      await using under = await open();
      const jobs = [jobFixture("hook", "count.mjs", { run: "hook" }), jobFixture("sour", "fail.mjs", { run: "hook" })];
      const spec = under.spec("eu-1", [api(), ...jobs]);
      const seen = await under.engine.apply(spec, call);
      expect(seen.components.map((component) => component.name)).toEqual(["api"]);
      await under.engine.run(spec, "hook", { EXTRA: "acme" }, call);
      await expect(under.engine.run(spec, "sour", {}, call)).rejects.toMatchObject({
        code: "HOOK_FAILED",
        message: expect.stringContaining("sour"),
      });
      const lines: string[] = [];
      for await (const line of under.engine.logs("eu-1", { component: "hook", signal: never })) lines.push(line.text);
      expect(lines).toContain("ran with acme");
    });

    test("destroy() leaves nothing, can be repeated, and the name can be used again", async () => {
      await using under = await open();
      const spec = under.spec("eu-1", [api(), migrate]);
      await under.engine.apply(spec, call);
      await under.engine.destroy("eu-1", call);
      expect(await under.engine.observe("eu-1", never)).toMatchObject({ presence: "absent", endpoints: [] });
      await under.engine.destroy("eu-1", call);
      await under.engine.destroy("never-was", call);
      const seen = await under.engine.apply(spec, call);
      expect(seen.components.map((component) => component.status)).toEqual(["healthy", "done"]);
    });

    test("two stamps have nothing in common, and the end of one is nothing to the other", async () => {
      await using under = await open();
      const first = await under.engine.apply(under.spec("eu-1", [api()]), call);
      const second = await under.engine.apply(under.spec("us-1", [api()]), call);
      expect(second.endpoints).not.toEqual(first.endpoints);
      const own = async (stamp: string) => {
        const facts = (await under.engine.facts?.(stamp, never)) ?? [];
        return facts.filter((fact) => fact.advisory === undefined).map(({ kind, identity }) => `${kind} ${identity}`);
      };
      const ours = await own("eu-1");
      expect(under.engine.facts === undefined || ours.length > 0).toBe(true);
      expect((await own("us-1")).filter((fact) => ours.includes(fact))).toEqual([]);
      await under.engine.destroy("us-1", call);
      expect(await under.engine.observe("eu-1", never)).toEqual(first);
    });

    test("operatorUrl() and adminUrl() know only databases, isolation() gives a reason for each of its answers", async () => {
      await using under = await open();
      const spec = under.spec("eu-1", [api()]);
      expect(componentsOf(spec.rendered)).toHaveLength(1);
      expect(await under.engine.operatorUrl(spec, "api", never)).toBeUndefined();
      expect(await under.engine.adminUrl?.(spec, "api", never)).toBeUndefined();
      for (const fact of await under.engine.isolation()) expect(fact.why).not.toBe("");
    });
  });
}
