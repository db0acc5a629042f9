import { expect, test } from "vitest";
import { readFeedMessage } from "./read-message.ts";

const chain = "a".repeat(64);
const position = { incarnation: 1, version: 2, chain };
const put = { kind: "tenant-put", tenant: "acme", stamp: "eu-1", epoch: 1, hostnames: ["a.example.com"] };
const stamp = {
  kind: "stamp-put",
  stamp: "eu-1",
  pool: "p",
  region: "eu",
  endpoints: [{ host: "127.0.0.1", port: 80 }],
  endpointRevision: 1,
};
const routing = {
  kind: "routing-put",
  routing: {
    domains: ["localhost"],
    path: { prefix: "/t", strip: true },
    header: { name: "x-tenant", trustedPeers: ["10.0.0.0/8", "::1"] },
  },
};
const delta = (change: unknown) => ({ kind: "delta", ...position, change });

test("readFeedMessage() reads every kind of message", () => {
  const good = [
    { kind: "hello", mode: "normal", heartbeatMs: 5000, ...position },
    { kind: "keys", stamp: "eu-1", keys: [{ kid: "k1", secret: "A".repeat(43) }] },
    { kind: "snapshot-begin", entries: 3, shrinkConfirmed: false, ...position },
    { kind: "snapshot-part", changes: [put, stamp, routing] },
    { kind: "snapshot-end", entries: 3, ...position },
    delta({ kind: "tenant-remove", tenant: "acme" }),
    delta({ kind: "stamp-remove", stamp: "eu-1" }),
    { kind: "heartbeat", ...position },
  ];
  for (const message of good) expect(readFeedMessage(structuredClone(message))).toEqual({ ok: true, value: message });
});

test.each<[string, unknown]>([
  ["null", null],
  ["a list", []],
  ["a kind that is no word", { kind: "Good bye" }],
  ["a field too few", { kind: "heartbeat", incarnation: 1, version: 2 }],
  ["a version that is a text", { kind: "heartbeat", ...position, version: "2" }],
  ["a version below 0", { kind: "heartbeat", ...position, version: -1 }],
  ["a version with a fraction", { kind: "heartbeat", ...position, version: 1.5 }],
  ["a short chain", { kind: "heartbeat", ...position, chain: "a" }],
  ["an upper-case chain", { kind: "heartbeat", ...position, chain: "A".repeat(64) }],
  ["version 0 of a delta", { ...delta(put), version: 0 }],
  ["epoch 0", delta({ ...put, epoch: 0 })],
  ["an epoch that is no safe integer", delta({ ...put, epoch: 2 ** 53 })],
  ["a tenant key with a slash", delta({ ...put, tenant: "../acme" })],
  ["an upper-case hostname", delta({ ...put, hostnames: ["A.example.com"] })],
  ["a hostname twice", delta({ ...put, hostnames: ["a.example.com", "a.example.com"] })],
  [
    "a prototype",
    JSON.parse(
      `{"kind":"delta","incarnation":1,"version":2,"chain":"${chain}","change":{"__proto__":{"kind":"stamp-remove","stamp":"x"}}}`,
    ),
  ],
  ["a stamp name with a space", delta({ kind: "stamp-remove", stamp: "eu 1" })],
  ["port 0", delta({ ...stamp, endpoints: [{ host: "127.0.0.1", port: 0 }] })],
  ["port 65536", delta({ ...stamp, endpoints: [{ host: "127.0.0.1", port: 65_536 }] })],
  ["a host with a line break", delta({ ...stamp, endpoints: [{ host: "a\r\nb", port: 1 }] })],
  [
    "a prefix with a dot segment",
    delta({ kind: "routing-put", routing: { domains: [], path: { prefix: "/t/..", strip: true } } }),
  ],
  [
    "a prefix with an end slash",
    delta({ kind: "routing-put", routing: { domains: [], path: { prefix: "/t/", strip: true } } }),
  ],
  [
    "a header name with a colon",
    delta({ kind: "routing-put", routing: { domains: [], header: { name: "x:y", trustedPeers: [] } } }),
  ],
  ["a secret of another length", { kind: "keys", stamp: "eu-1", keys: [{ kid: "k1", secret: "short" }] }],
])("readFeedMessage() refuses %s", (_, message) => {
  expect(readFeedMessage(message).ok).toBe(false);
});

test("readFeedMessage() keeps fields that only a newer version knows, where they are", () => {
  const newer = [
    { kind: "heartbeat", ...position, load: 0.3 },
    delta({ ...put, limits: { requestsPerSecond: 10 }, __proto: 1 }),
    delta({ ...stamp, zone: "a", endpoints: [{ host: "127.0.0.1", port: 80, weight: 3 }] }),
    delta({ kind: "routing-put", routing: { ...routing.routing, mirror: true } }),
    { kind: "snapshot-part", changes: [{ ...put, tier: "gold" }], compressed: false },
  ];
  for (const message of newer) {
    const read = readFeedMessage(structuredClone(message));
    if (!read.ok) throw new Error(read.problem);
    if (message.kind !== "heartbeat" && message.kind !== "snapshot-part") expect(read.value).toEqual(message);
    else expect(message).toMatchObject(read.value);
  }
});

test("readFeedMessage() names what it does not know: messages may be left, changes may not", () => {
  const hold = { kind: "tenant-hold", tenant: "acme" };
  const reading = (message: unknown) => readFeedMessage(message);
  expect(reading({ kind: "greeting", tenant: "acme" })).toEqual({
    ok: true,
    value: { kind: "unknown-message", name: "greeting" },
  });
  expect(reading(delta(hold))).toEqual({ ok: true, value: { kind: "unknown-change", name: "tenant-hold", position } });
  const rules = [{ kind: "hostname" }, { kind: "jwt", claim: "tenant" }];
  expect(reading(delta({ kind: "routing-put", routing: { domains: [], rules } }))).toMatchObject({
    value: { kind: "unknown-change", name: "routing-put with a rule of kind jwt" },
  });
  expect(reading({ kind: "snapshot-part", changes: [put, hold] })).toEqual({
    ok: true,
    value: { kind: "unknown-change", name: "tenant-hold" },
  });
});
