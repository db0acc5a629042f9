import { createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Log } from "../reconcilers/turn.ts";
import type { Store, WebhookMessage, WriteContext } from "../store/port.ts";
import { openStore } from "../store/open.ts";
import { makeMasterKey } from "../store/seal.ts";
import { openLed } from "../store/test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { aborting, fleetOf, rolloutFixture, step, updating } from "../store/test-rollouts.ts";
import { testKeys } from "../store/test-store.ts";
import { systemClock, systemRandom } from "../system-ports.ts";
import { runWebhooks } from "./run-webhooks.ts";
import { signedHeaders } from "./sign-message.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real receiver; `answer` ends each response, or leaves it open. */
async function startReceiver(answer: (response: ServerResponse, received: Received) => void) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      const one = { path: request.url ?? "", headers: request.headers, body };
      received.push(one);
      answer(response, one);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new RangeError("No port");
  return {
    url: `http://127.0.0.1:${address.port}/hook`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Delivers until it is disposed of, and keeps what was logged. */
function startDelivery(store: Store, { token }: WriteContext) {
  const stop = new AbortController();
  const logged: string[] = [];
  const keep = (fields: object, message: string) => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { info: keep, warn: keep, error: keep };
  const ended = runWebhooks({ store, clock: systemClock, random: systemRandom, log }, token, stop.signal);
  return {
    logged,
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended.catch(() => {});
    },
  };
}

async function until<T>(look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new RangeError("It did not come to that within 10 s");
    await sleep(20);
  }
}

const settled = (store: Store, id: string, state: WebhookMessage["state"]) =>
  until(async () => {
    const all = await store.webhooks.messages(id);
    return all.length > 0 && all.every((message) => message.state === state && message.attempt > 0) ? all : undefined;
  });

const dueNow = (url: string) => run(url, "UPDATE stampyard_control.webhook_messages SET retry_at = now()");

test("signedHeaders() signs as the Standard Webhooks specification has it", () => {
  const message = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: '{"test": 2432232314}' };
  expect(signedHeaders(message, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_614_265_330_900)).toEqual({
    "webhook-id": message.id,
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
  for (const secret of ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ="]) {
    expect(() => signedHeaders(message, secret, 0)).toThrow(/secret of a webhook/);
  }
});

test("a receiver hears of every phase of a rollout, signed, and of nothing that was not committed", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await using receiver = await startReceiver((response) => response.end());
  await fleetOf(store, ctx, ["a"]);
  const { webhook, secret } = await store.webhooks.add({ url: receiver.url, events: ["rollout.*"] }, ctx);
  const ends = await store.webhooks.add({ url: `${receiver.url}/ends`, events: ["rollout.aborted"] }, ctx);
  await using delivery = startDelivery(store, ctx);
  const { value } = await store.rollouts.start(rolloutFixture(["a"]), { ...ctx, reason: "to have it" });
  await step(store, ctx, value.id, updating(), { a: { kind: "updating", since: 1 } });
  await expect(step(store, ctx, value.id, { kind: "done", at: 1 })).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await step(store, ctx, value.id, aborting, { a: { kind: "returning", since: 4 } });
  const home = { a: { kind: "returned", at: 5 } } as const;
  await step(store, ctx, value.id, { kind: "aborted", at: 5, cause: "too many errors", by: "gate" }, home);
  await settled(store, webhook.id, "delivered");
  await settled(store, ends.webhook.id, "delivered");
  const mine = receiver.received.filter(({ path }) => path === "/hook").map(({ body }) => JSON.parse(body));
  expect(mine.map((body) => body.type)).toEqual([
    "rollout.queued",
    "rollout.updating",
    "rollout.aborting",
    "rollout.aborted",
  ]);
  expect(mine[1]).toEqual({
    type: "rollout.updating",
    timestamp: expect.stringMatching(/^20.*Z$/),
    data: {
      rollout: value.id,
      release: value.release,
      phase: "updating",
      by: "tester",
      reason: "to have it",
      wave: { index: 0, name: "a" },
    },
  });
  expect(mine[3].data).toMatchObject({ cause: "too many errors", endedBy: "gate" });
  expect(receiver.received.filter(({ path }) => path === "/hook/ends")).toHaveLength(1);
  const [first] = receiver.received;
  if (first === undefined) throw new RangeError("Nothing came");
  const { headers, body } = first;
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  expect(key).toHaveLength(32);
  expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  expect(Math.abs(Number(headers["webhook-timestamp"]) * 1_000 - Date.now())).toBeLessThan(60_000);
  expect(delivery.logged).toEqual([]);
  expect(
    JSON.stringify([await store.audit.list({ subject: `webhook/${webhook.id}` }), receiver.received]),
  ).not.toContain(secret.slice(6));
});

test("a message that was not taken goes out again later, under the same id and a new time, and is given up at last", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using receiver = await startReceiver((response, { body }) => {
    response.statusCode = body.includes("never") ? 500 : 503;
    if (receiver.received.length === 2) response.statusCode = 204;
    response.end("no thanks");
  });
  const { webhook } = await store.webhooks.add({ url: receiver.url, events: ["*"] }, ctx);
  await using delivery = startDelivery(store, ctx);
  await store.webhooks.send("fleet.changed", { what: "a test" }, ctx);
  const [waiting] = await until(async () => {
    const all = await store.webhooks.messages(webhook.id);
    return all[0]?.attempt === 1 ? all : undefined;
  });
  expect(waiting).toMatchObject({ state: "waiting", outcome: "Answered 503" });
  const wait = (waiting?.retryAt ?? 0) - Date.now();
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThan(6_100);
  await dueNow(url);
  expect(await settled(store, webhook.id, "delivered")).toMatchObject([{ attempt: 2, outcome: "Answered 204" }]);
  const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
  expect(new Set(ids).size).toBe(1);
  await run(url, "TRUNCATE stampyard_control.webhook_messages");
  await store.webhooks.send("fleet.changed", { what: "never" }, ctx);
  await run(url, "UPDATE stampyard_control.webhook_messages SET attempt = 9");
  expect(await settled(store, webhook.id, "given-up")).toMatchObject([{ outcome: "Answered 500" }]);
  await until(() => delivery.logged.length > 0);
  expect(delivery.logged[0]).toContain("given up");
});

test("a redirect is not followed, and a receiver that is gone is never asked again", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using elsewhere = await startReceiver((response) => response.end());
  await using receiver = await startReceiver((response, { path }) => {
    response.writeHead(path.includes("/gone") ? 410 : 307, { location: elsewhere.url }).end();
  });
  const moved = await store.webhooks.add({ url: receiver.url, events: ["*"] }, ctx);
  const gone = await store.webhooks.add({ url: `${receiver.url}/gone?key=hunter2`, events: ["*"] }, ctx);
  await store.webhooks.send("fleet.changed", { n: 1 }, ctx);
  await store.webhooks.send("fleet.changed", { n: 2 }, ctx);
  await using delivery = startDelivery(store, ctx);
  expect(await settled(store, moved.webhook.id, "waiting")).toMatchObject([
    { outcome: "Answered 307: redirects are not followed" },
    { outcome: "Answered 307: redirects are not followed" },
  ]);
  await until(async () => (await store.webhooks.list()).find(({ id }) => id === gone.webhook.id)?.disabled);
  const messages = await store.webhooks.messages(gone.webhook.id);
  expect(messages.map(({ state }) => state)).toEqual(["given-up", "given-up"]);
  await expect(store.webhooks.test(gone.webhook.id, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  expect(await store.webhooks.send("fleet.changed", { n: 3 }, ctx)).toBe(1);
  await dueNow(url);
  await settled(store, moved.webhook.id, "waiting");
  expect(elsewhere.received).toEqual([]);
  expect(receiver.received.filter(({ path }) => path.startsWith("/hook/gone"))).toHaveLength(1);
  const { items } = await store.audit.list({ subject: `webhook/${gone.webhook.id}` });
  expect(items.map(({ action }) => action)).toEqual(["webhook.add", "webhook.disable"]);
  expect(JSON.stringify([items, delivery.logged])).not.toContain("hunter2");
});

test("a receiver that never answers holds up no other one, and ends with the leadership", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using silent = await startReceiver(() => {});
  await using quick = await startReceiver((response) => response.end());
  const { webhook } = await store.webhooks.add({ url: silent.url, events: ["*"] }, ctx);
  const other = await store.webhooks.add({ url: quick.url, events: ["other.*"] }, ctx);
  const shut = await store.webhooks.add({ url: "http://127.0.0.1:1/", events: ["other.*"] }, ctx);
  const delivery = startDelivery(store, ctx);
  await store.webhooks.test(webhook.id, ctx);
  await until(() => silent.received.length === 1);
  await store.webhooks.send("other.one", {}, ctx);
  await settled(store, other.webhook.id, "delivered");
  const [refused] = await settled(store, shut.webhook.id, "waiting");
  expect(refused?.outcome).toMatch(/^Not reached/);
  const began = performance.now();
  await delivery[Symbol.asyncDispose]();
  expect(performance.now() - began).toBeLessThan(5_000);
  // Its outcome is unknown: whoever leads next sends it again.
  expect(await store.webhooks.messages(webhook.id)).toContainEqual(expect.objectContaining({ attempt: 0 }));
  const asked = silent.received.length;
  await store.lease.release("test", ctx.token);
  await dueNow(url);
  await using late = startDelivery(store, ctx);
  await expect(late.ended).rejects.toMatchObject({ code: "STALE_LEADER" });
  expect(silent.received.length).toBeGreaterThanOrEqual(asked);
}, 30_000);

test("webhooks.add() refuses what it could not post to, and seals the secret that it shows once (I33)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  const refused = async (hook: string, events: readonly string[] = ["*"]) =>
    store.webhooks.add({ url: hook, events }, ctx).catch((error: { code: string }) => error.code);
  for (const hook of ["ftp://example.com/", "example.com", "https://u:p@example.com/", "https://example.com/#x", ""]) {
    expect(await refused(hook), hook).toBe("INVALID_REQUEST");
  }
  for (const events of [[], ["Rollout"], ["rollout.*.x"], ["a".repeat(99)]]) {
    expect(await refused("https://example.com/", events)).toBe("INVALID_REQUEST");
  }
  const { webhook, secret } = await store.webhooks.add(
    { url: "https://example.com/?key=1", events: ["rollout.*"] },
    ctx,
  );
  const bytes = Buffer.from(secret.slice(6), "base64");
  const rows = await run(url, "SELECT row_to_json(w)::text AS row FROM stampyard_control.webhooks w");
  for (const form of [secret.slice(6), bytes.toString("hex")]) expect(JSON.stringify(rows)).not.toContain(form);
  const tooLong = store.webhooks.send("rollout.x", { text: "x".repeat(20_000) }, ctx);
  await expect(tooLong).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  expect(await store.webhooks.messages(webhook.id)).toEqual([]);

  await store.webhooks.test(webhook.id, ctx);
  const fresh = makeMasterKey(randomBytes(32));
  await using both = await openStore({ url, keys: [fresh, ...testKeys] });
  expect(await both.rewrapSecrets(ctx)).toBe(1);
  await using only = await openStore({ url, keys: [fresh] });
  expect(await only.webhooks.due(9)).toMatchObject([{ secret, url: webhook.url }]);
  await expect(store.webhooks.due(9)).rejects.toMatchObject({
    code: "INTERNAL",
    message: expect.stringContaining(fresh.id),
  });
  // Whose secret does not open holds up nobody else.
  const another = await store.webhooks.add({ url: "https://example.com/", events: ["*"] }, ctx);
  await store.webhooks.test(another.webhook.id, ctx);
  expect(await store.webhooks.due(9)).toMatchObject([{ secret: another.secret }]);
  await store.webhooks.remove(another.webhook.id, ctx);
  await store.webhooks.remove(webhook.id, ctx);
  await expect(store.webhooks.remove(webhook.id, ctx)).rejects.toMatchObject({ code: "NOT_FOUND" });
  expect(await store.webhooks.list()).toEqual([]);
});

test("a message that arrives while the store is asked for the next ones does not go out again", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  const sent: string[] = [];
  const open: ServerResponse[] = [];
  await using receiver = await startReceiver((response, { headers }) => {
    sent.push(String(headers["webhook-id"]));
    open.push(response);
  });
  await fleetOf(store, ctx, ["a"]);
  const { webhook } = await store.webhooks.add({ url: receiver.url, events: ["rollout.*"] }, ctx);
  // The answer of the store is older than what happens until it is used.
  let asked = 0;
  const slow: Store = {
    ...store,
    webhooks: {
      ...store.webhooks,
      async due(limit) {
        asked += 1;
        const found = await store.webhooks.due(limit);
        const [response] = open.splice(0);
        if (found.length === 0 || response === undefined) return found;
        response.end();
        await settled(store, webhook.id, "delivered");
        await sleep(50);
        return found;
      },
    },
  };
  await using _ = startDelivery(slow, ctx);
  await store.rollouts.start(rolloutFixture(["a"]), ctx);
  await settled(store, webhook.id, "delivered");
  const then = asked;
  await until(() => asked >= then + 2);
  expect(sent).toHaveLength(1);
});
