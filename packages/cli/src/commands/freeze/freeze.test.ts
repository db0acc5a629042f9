import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runLine, type StubAnswer, type StubApi, type StubRequest, stubFetch } from "../../test-io.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-freeze-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let sent: unknown[];
beforeEach(() => {
  sent = [];
});
const asking = (answer: StubAnswer) => (request: StubRequest) => {
  sent.push(request.body ?? request.query.toString());
  return answer;
};
const run = (api: StubApi, ...argv: string[]) => runLine(argv, { env, fetch: stubFetch(api) });

const at = "2026-11-23T05:00:00.000Z";
const freeze = {
  kind: "person",
  id: "fz-1",
  scope: { pools: ["gold"] },
  stops: ["rollouts", "moves"],
  reason: "the fair",
  startedBy: "token:tok_1",
  since: at,
};
const window = {
  kind: "window",
  name: "weekend",
  scope: {},
  stops: ["rollouts"],
  zone: "Europe/Berlin",
  when: "every Friday 16:00 to Monday 08:00",
  active: false,
};

describe("freeze", () => {
  test("freeze says scope, things, reason and end, and how to end it", async () => {
    const api: StubApi = { "POST /v1/freezes": asking({ status: 201, json: freeze }) };
    const line = ["freeze", "--pool", "gold", "--stops", "rollouts,moves", "--until", at, "--reason", "the fair"];
    const { code, out, err } = await run(api, ...line);
    expect([code, out]).toEqual([0, "Frozen: rollouts, moves of pool gold\n"]);
    expect(err).toContain("stampyard unfreeze fz-1");
    expect(sent).toEqual([{ scope: { pools: ["gold"] }, stops: ["rollouts", "moves"], until: at, reason: "the fair" }]);
  });

  test("freeze without a reason, and for what it cannot stop, is refused without a call", async () => {
    for (const wrong of [[], ["--reason", " "], ["--reason", "x", "--stops", "routing"]]) {
      const calls: string[] = [];
      const ran = await runLine(["freeze", ...wrong], { env, fetch: stubFetch({}, calls) });
      expect([ran.code, calls], wrong.join(" ")).toEqual([1, []]);
    }
  });

  test("freeze list wants no reason, and names windows with whether they hold now", async () => {
    const { code, out } = await run({ "GET /v1/freezes": { json: { items: [freeze, window] } } }, "freeze", "list");
    expect(code).toBe(0);
    expect(out).toMatch(/^fz-1 +yes +pool gold +rollouts, moves +- +token:tok_1 +the fair$/m);
    expect(out).toMatch(
      /^window weekend +no +the whole fleet +rollouts +- +fleet\.yaml +every Friday .*\(Europe\/Berlin\)$/m,
    );
    const json = await run({ "GET /v1/freezes": { json: { items: [freeze] } } }, "freeze", "list", "-o", "json");
    expect(JSON.parse(json.out)).toEqual({ items: [freeze] });
  });

  test("unfreeze ends the only one there is, and asks which of several", async () => {
    const end = {
      "DELETE /v1/freezes/fz-1": asking({ status: 204 }),
      "DELETE /v1/freezes/fz-2": asking({ status: 204 }),
    };
    const one: StubApi = { ...end, "GET /v1/freezes": { json: { items: [window, freeze] } } };
    expect(await run(one, "unfreeze", "--reason", "over")).toMatchObject({ code: 0, out: "Freeze fz-1 is over\n" });
    expect(sent).toEqual(["reason=over"]);
    const two: StubApi = { ...end, "GET /v1/freezes": { json: { items: [freeze, { ...freeze, id: "fz-2" }] } } };
    const asked = await run(two, "unfreeze");
    expect(asked.code).toBe(1);
    expect(asked.err).toContain("There are 2 freezes: fz-1, fz-2");
    expect((await run(two, "unfreeze", "--all")).out).toBe("Freeze fz-1 is over\nFreeze fz-2 is over\n");
    expect((await run({ "GET /v1/freezes": { json: { items: [window] } } }, "unfreeze")).code).toBe(1);
  });
});

describe("pins", () => {
  const pin = { kind: "stamp", name: "shared-2", until: at, reason: "import", setBy: "token:tok_1", since: at };

  test("stamp pin wants a reason and an end, and says until when", async () => {
    const api: StubApi = { "PUT /v1/stamps/shared-2/pin": asking({ json: pin }) };
    const { out } = await run(api, "stamp", "pin", "shared-2", "--until", at, "--reason", "import");
    expect(out).toBe(`Stamp shared-2 is pinned to the release it runs until ${at}\n`);
    expect(sent).toEqual([{ until: at, reason: "import" }]);
    expect((await run(api, "stamp", "pin", "shared-2", "--reason", "import")).err).toContain("A pin wants an end");
    expect((await run(api, "stamp", "pin", "shared-2", "--for", "1d")).code).toBe(1);
  });

  test("tenant pin-release and release pins", async () => {
    const tenant = { ...pin, kind: "tenant", name: "acme", release: `sha256:${"b".repeat(64)}`, version: "1.1.0" };
    const api: StubApi = {
      "PUT /v1/tenants/acme/release-pin": asking({ json: tenant }),
      "DELETE /v1/tenants/acme/release-pin": asking({ status: 204 }),
      "GET /v1/pins": { json: { items: [pin, tenant] } },
    };
    const set = await run(api, "tenant", "pin-release", "acme", "--until", at, "--reason", "tests");
    expect(set.out).toBe(`Tenant acme is pinned to release 1.1.0 until ${at}\n`);
    const { out } = await run(api, "release", "pins");
    expect(out).toMatch(/^stamp +shared-2 +what it runs +2026.*import$/m);
    expect(out).toMatch(/^tenant +acme +1\.1\.0 +2026/m);
    expect((await run(api, "tenant", "unpin-release", "acme")).out).toBe("Tenant acme is pinned to no release\n");
  });
});

describe("webhook", () => {
  const hook = { id: "wh-1", url: "https://x.example/in", events: ["rollout.*"], disabled: false, createdAt: at };

  test("add prints the secret alone on stdout", async () => {
    const api: StubApi = { "POST /v1/webhooks": asking({ status: 201, json: { ...hook, secret: "whsec_abc" } }) };
    const { out, err } = await run(
      api,
      "webhook",
      "add",
      "https://x.example/in",
      "--events",
      "rollout.paused, rollout.done",
    );
    expect(out).toBe("whsec_abc\n");
    expect(err).toContain("stampyard webhook test wh-1");
    expect(sent).toEqual([{ url: "https://x.example/in", events: ["rollout.paused", "rollout.done"] }]);
  });

  test("test, messages and remove", async () => {
    const message = {
      id: "msg_1",
      event: "webhook.test",
      at,
      state: "waiting",
      attempt: 2,
      retryAt: at,
      outcome: "503",
      body: "{}",
    };
    const api: StubApi = {
      "POST /v1/webhooks/wh-1/test": asking({ status: 202, json: { message: "msg_1" } }),
      "GET /v1/webhooks/wh-1/messages": { json: { items: [message] } },
      "DELETE /v1/webhooks/wh-1": asking({ status: 204 }),
    };
    expect((await run(api, "webhook", "test", "wh-1")).err).toContain("stampyard webhook messages wh-1");
    expect((await run(api, "webhook", "messages", "wh-1")).out).toMatch(/^msg_1 +webhook\.test +waiting +2 .*503$/m);
    expect((await run(api, "webhook", "remove", "wh-1")).err).toContain("CONFIRMATION_REQUIRED");
    expect((await run(api, "webhook", "remove", "wh-1", "--yes")).out).toBe("Webhook wh-1 is removed\n");
  });
});
