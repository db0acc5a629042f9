import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeSecret, secretNames } from "./secrets.ts";
import type { Component } from "./template.ts";

const resources = {};
const components: readonly Component[] = [
  { kind: "postgres", name: "db", version: 18, maxConnections: 20, resources, protect: true, ids: {}, via: {} },
  { kind: "redis", name: "cache", maxMemoryMb: 16, persistence: "none", resources, protect: false },
  { kind: "nats", name: "queue", jetstream: false, resources, protect: false },
  { kind: "external", name: "mail", url: ["smtp://mail"], secret: "env:MAIL" },
];

describe("secrets", () => {
  test("secretNames() lists every role of every store and none of what is not ours (D4)", () => {
    expect(secretNames({ stages: [{ name: "all", engine: "local", components }] })).toEqual([
      "db.superPassword",
      "db.ownerPassword",
      "db.appPassword",
      "db.moverPassword",
      "cache.password",
      "queue.password",
    ]);
  });

  test("makeSecret() is 32 characters that need no escaping, one of 64 for each byte", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const secret = makeSecret({ bytes: () => bytes });
        expect(secret).toMatch(/^[\w-]{32}$/);
        expect(encodeURIComponent(secret)).toBe(secret);
      }),
    );
    const every = new Set(Array.from({ length: 256 }, (_, byte) => makeSecret({ bytes: () => [byte] as never })));
    expect(every.size).toBe(64);
  });
});
