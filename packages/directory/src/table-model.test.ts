import { createHash } from "node:crypto";
import type { Routing } from "@stampyard/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DirectoryChange } from "./change.ts";
import type { ChangeRefusal, Directory, DirectoryView, FrozenDirectory, StampEntry, TenantEntry } from "./directory.ts";
import type { KeyHash } from "./half-sip-hash.ts";
import { decodeSnapshot, encodeSnapshot, snapshotPieces } from "./snapshot.ts";
import { viewOf } from "./snapshot-state.ts";
import { createDirectory, type DirectoryOptions } from "./table.ts";

/** The directory as one would write it without a thought for memory: what the table must agree with, always. */
function createModel() {
  const tenants = new Map<string, TenantEntry>();
  const keys = new Map<string, TenantEntry>();
  const stamps = new Map<string, StampEntry>();
  let routing: Routing | undefined;
  const keysOf = ({ hostnames, aliases = [] }: TenantEntry) => [
    ...hostnames.map((hostname) => `hostname ${hostname}`),
    ...aliases.map((alias) => `alias ${alias}`),
  ];
  const remove = (tenant: string) => {
    const old = tenants.get(tenant);
    tenants.delete(tenant);
    if (old !== undefined) for (const key of keysOf(old)) keys.delete(key);
  };
  const check = (entry: TenantEntry): ChangeRefusal | undefined => {
    if (entry.epoch < (tenants.get(entry.tenant)?.epoch ?? 0)) return "epoch-decreases";
    const taken = keysOf(entry).find((key) => (keys.get(key)?.tenant ?? entry.tenant) !== entry.tenant);
    if (taken === undefined) return undefined;
    return taken.startsWith("hostname") ? "hostname-taken" : "alias-taken";
  };
  return {
    tenants,
    stamps,
    routing: () => routing,
    hostname: (host: string) => keys.get(`hostname ${host}`),
    alias: (alias: string) => keys.get(`alias ${alias}`),
    apply(change: DirectoryChange): ChangeRefusal | undefined {
      if (change.kind === "tenant-remove") remove(change.tenant);
      if (change.kind === "stamp-remove") stamps.delete(change.stamp);
      if (change.kind === "routing-put") routing = change.routing;
      if (change.kind === "stamp-put") {
        const { kind: _, ...entry } = change;
        stamps.set(entry.stamp, entry);
      }
      if (change.kind !== "tenant-put") return undefined;
      const { kind: _, ...entry } = change;
      const refusal = check(entry);
      if (refusal !== undefined) return refusal;
      remove(entry.tenant);
      tenants.set(entry.tenant, entry);
      for (const key of keysOf(entry)) keys.set(key, entry);
      return undefined;
    },
  };
}

const names = Array.from({ length: 40 }, (_, number) => `t${number}`);
const hosts = Array.from({ length: 60 }, (_, number) => `h${number}.${"x".repeat(number % 50)}a.example.com`);
// The same text in two kinds of keys must lead to two different places.
const aliases = [...hosts.slice(0, 5), ...names.slice(0, 5), "account:4711", "A@b", `key:${"k".repeat(251)}`];
const stampNames = ["eu-1", "eu-2", "us-1", "us-2"];

const put = fc.record(
  {
    kind: fc.constant("tenant-put" as const),
    tenant: fc.constantFrom(...names),
    stamp: fc.constantFrom(...stampNames),
    epoch: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 43, 2 ** 53 - 1)),
    hostnames: fc.uniqueArray(fc.constantFrom(...hosts), { maxLength: 6 }),
    aliases: fc.uniqueArray(fc.constantFrom(...aliases), { minLength: 1, maxLength: 3 }),
    tier: fc.string({ maxLength: 400 }),
  },
  { requiredKeys: ["kind", "tenant", "stamp", "epoch", "hostnames"] },
);
const change: fc.Arbitrary<DirectoryChange> = fc.oneof(
  { weight: 8, arbitrary: put },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("tenant-remove" as const), tenant: fc.constantFrom(...names) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("stamp-put" as const),
      stamp: fc.constantFrom(...stampNames),
      pool: fc.constant("shared"),
      region: fc.constant("eu"),
      endpoints: fc.constant([{ host: "127.0.0.1", port: 1 }]),
      endpointRevision: fc.nat(3),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("stamp-remove" as const), stamp: fc.constantFrom(...stampNames) }),
  },
);

function sameAs(model: ReturnType<typeof createModel>, table: DirectoryView): void {
  const home = (entry: TenantEntry | undefined) =>
    entry === undefined ? undefined : { tenant: entry.tenant, stamp: entry.stamp, epoch: entry.epoch };
  for (const tenant of [...names, ...hosts.slice(0, 3)]) {
    expect(table.lookupTenant(tenant)).toEqual(home(model.tenants.get(tenant)));
    const ref = table.findTenantBytes(Buffer.from(`>${tenant}<`), 1, tenant.length + 1);
    expect(ref).toBe(table.findTenant(tenant));
    if (ref >= 0) expect([table.tenantAt(ref), table.stampAt(ref)]).toEqual([tenant, model.tenants.get(tenant)?.stamp]);
  }
  for (const host of [...hosts, ...names.slice(0, 3)]) {
    expect(table.lookupHostname(host)).toEqual(home(model.hostname(host)));
    expect(table.findHostnameBytes(Buffer.from(host), 0, host.length)).toBe(table.findHostname(host));
  }
  for (const alias of [...aliases, ...hosts, ...names]) {
    expect(table.lookupAlias(alias)).toEqual(home(model.alias(alias)));
  }
  for (const stamp of stampNames) {
    expect(table.lookupStamp(stamp)).toEqual(model.stamps.get(stamp));
    const homed = [...model.tenants.values()].filter((entry) => entry.stamp === stamp);
    expect(table.tenantCountOf(stamp)).toBe(homed.length);
  }
  const byName = (left: TenantEntry, right: TenantEntry) => (left.tenant < right.tenant ? -1 : 1);
  expect([...table.tenants()].sort(byName)).toEqual([...model.tenants.values()].sort(byName));
  expect(table.counts()).toEqual({
    tenants: model.tenants.size,
    stamps: model.stamps.size,
    hostnames: [...model.tenants.values()].reduce((sum, { hostnames }) => sum + hostnames.length, 0),
    aliases: [...model.tenants.values()].reduce((sum, entry) => sum + (entry.aliases?.length ?? 0), 0),
  });
}

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());
const position = { incarnation: 1, version: 7, chain: "a".repeat(64) };

/** Everything in one place; two places; or by length alone, as a hash that somebody can steer would. */
const weakHashes: readonly (readonly [string, KeyHash | undefined])[] = [
  ["HalfSipHash", undefined],
  ["one value for all keys", () => 0x12345678],
  ["the highest value for all keys", () => 0xffffffff],
  ["the length", (_, start, end) => (end - start) * 0x01000001],
  ["the last byte and the kind", (bytes, _, end, kind) => ((bytes[end - 1] ?? 0) << 24) ^ kind],
];

describe.each(weakHashes)("table with a hash of %s", (_, hash) => {
  const options: DirectoryOptions = hash === undefined ? { hashKey: [1, 2] } : { hash };

  test("apply() and every lookup agree with plain Maps, so no collision misroutes (I1, I5)", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 150 }), (changes) => {
        const model = createModel();
        const table = createDirectory(options);
        for (const next of changes) {
          expect(table.check(next)).toBe(table.apply(next));
          model.apply(next);
        }
        sameAs(model, table);
      }),
      { numRuns: 60 },
    );
  });

  test("a table out of a file goes on as the one that was written (I14)", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), fc.array(change, { maxLength: 80 }), (before, after) => {
        const model = createModel();
        const first = createDirectory(options);
        for (const next of before) expect(first.apply(next)).toBe(model.apply(next));
        const ports = hash === undefined ? {} : { hash };
        const decoded = decodeSnapshot(encodeSnapshot(first, position, sha256), sha256, ports);
        if (decoded.kind === "corrupt") throw new Error(decoded.reason);
        const table = decoded.directory;
        sameAs(model, table);
        for (const next of after) expect(table.apply(next)).toBe(model.apply(next));
        sameAs(model, table);
      }),
      { numRuns: 60 },
    );
  });
});

test("freeze() keeps its moment while the table goes on, for two readers at a time", () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 30, maxLength: 120 }), (changes) => {
      const table = createDirectory();
      const model = createModel();
      interface Moment {
        readonly model: ReturnType<typeof createModel>;
        readonly reading: FrozenDirectory;
        readonly written: Iterator<Uint8Array>;
        readonly bytes: Uint8Array[];
      }
      const moments: Moment[] = [];
      const frozen: ReturnType<Directory["freeze"]>[] = [];
      const past: DirectoryChange[] = [];
      changes.forEach((next, turn) => {
        table.apply(next);
        model.apply(next);
        past.push(next);
        for (const moment of moments) {
          const piece = moment.written.next();
          // Copied as a disk would have it: what comes later may not change what was given before either.
          if (!piece.done) moment.bytes.push(piece.value);
        }
        if (turn % 12 !== 0) return;
        const then = createModel();
        for (const one of past) then.apply(one);
        const reading = table.freeze();
        frozen.push(reading);
        moments.push({
          model: then,
          reading,
          written: snapshotPieces(reading, position, { sha256 })[Symbol.iterator](),
          bytes: [],
        });
        if (frozen.length > 3) frozen.shift()?.release();
      });
      for (const { model: then, reading, written, bytes } of moments.slice(-3)) {
        sameAs(then, viewOf(reading));
        for (let piece = written.next(); !piece.done; piece = written.next()) bytes.push(piece.value);
        const decoded = decodeSnapshot(new Uint8Array(Buffer.concat(bytes)), sha256);
        if (decoded.kind === "corrupt") throw new Error(decoded.reason);
        sameAs(then, decoded.directory);
      }
      sameAs(model, table);
    }),
    { numRuns: 40 },
  );
});

test("a long life leaves neither tombstones nor holes behind: memory stays what the tenants need", () => {
  const table = createDirectory();
  let seed = 20_261;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const epochs = new Map<string, number>();
  const turn = (number: number) => {
    const tenant = `t${random(3_000)}`;
    if (random(3) === 0) {
      table.apply({ kind: "tenant-remove", tenant });
      return;
    }
    const epoch = (epochs.get(tenant) ?? 0) + 1;
    epochs.set(tenant, epoch);
    const hostnames = Array.from({ length: random(4) }, (_, host) => `${"n".repeat(random(40))}${number}-${host}.com`);
    table.apply({ kind: "tenant-put", tenant, stamp: `s-${random(9)}`, epoch, hostnames });
  };
  for (let number = 0; number < 20_000; number++) turn(number);
  const early = table.memory();
  for (let number = 20_000; number < 200_000; number++) turn(number);
  const late = table.memory();
  expect(late.records).toBeLessThan(early.records * 1.5);
  expect(late.index).toBeLessThan(early.index * 1.3);
  for (const { tenant } of [...table.tenants()]) table.apply({ kind: "tenant-remove", tenant });
  expect(table.counts()).toMatchObject({ tenants: 0, hostnames: 0 });
  // All that remains is the least that every shard keeps.
  expect(table.memory().index).toBeLessThanOrEqual(1_024 * 24 * 5);
});
