import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { acceptFeed, acceptVersion, feedStart, newFeedState, reconnected } from "./accept-feed.ts";
import { nextChain } from "./change.ts";
import type { FeedMessage, FeedPosition } from "./feed.ts";
import { snapshotMessages } from "./snapshot-messages.ts";
import type { Directory } from "./directory.ts";
import { createDirectory } from "./table.ts";

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());
const chain = (letter: string) => letter.repeat(64);
const at = (incarnation: number, version: number, letter = "a"): FeedPosition => ({
  incarnation,
  version,
  chain: chain(letter),
});

function tableOf(tenants: number, epoch = 1): Directory {
  const table = createDirectory();
  for (let n = 0; n < tenants; n++)
    table.apply({ kind: "tenant-put", tenant: `t${n}`, stamp: "eu-1", epoch, hostnames: [] });
  return table;
}

/** Sends messages until one has an effect, and says which. */
function send(state: ReturnType<typeof newFeedState>, messages: Iterable<FeedMessage>, table: Directory) {
  for (const message of messages) {
    const step = acceptFeed(state, message, table, sha256);
    state = step.next;
    const [effect] = step.effects;
    if (effect !== undefined) return { state, effect };
  }
  return { state, effect: undefined };
}

describe("acceptFeed() and snapshots", () => {
  test("refuses one that is over 20% and over 50 entries smaller, until that version is accepted (D8, I14)", () => {
    const own = tableOf(200);
    const small = snapshotMessages(tableOf(140), at(1, 20), { shrinkConfirmed: false });
    const refused = send(newFeedState(at(1, 10)), small, own);
    expect(refused.effect).toMatchObject({ kind: "refuse", reason: "shrinks" });
    expect(acceptVersion(refused.state, 19)).toBeUndefined();

    const accepted = acceptVersion(refused.state, 20);
    if (accepted === undefined) throw new Error("not accepted");
    const smaller = snapshotMessages(tableOf(100), at(1, 21), { shrinkConfirmed: false });
    expect(send(accepted, smaller, own).effect).toMatchObject({ kind: "refuse", reason: "shrinks" });
    const again = snapshotMessages(tableOf(140), at(1, 21), { shrinkConfirmed: false });
    const done = send(accepted, again, own);
    expect(done.effect).toMatchObject({ kind: "replace", position: { version: 21 } });
    expect(done.state.accepted).toBeUndefined();
  });

  test.each([
    [200, 160, "replace"],
    [100, 49, "refuse"],
    [60, 12, "replace"],
    [3, 0, "refuse"],
    [0, 0, "replace"],
  ])("from %i to %i entries: %s", (ours, theirs, kind) => {
    const messages = snapshotMessages(tableOf(theirs), at(1, 20), { shrinkConfirmed: false });
    expect(send(newFeedState(at(1, 10)), messages, tableOf(ours)).effect?.kind).toBe(kind);
  });

  test("takes a confirmed shrink, even to nothing", () => {
    const messages = snapshotMessages(tableOf(0), at(1, 20), { shrinkConfirmed: true });
    expect(send(newFeedState(at(1, 10)), messages, tableOf(500)).effect?.kind).toBe("replace");
  });

  test("refuses one without tenants although it still has stamps (I14)", () => {
    const empty = createDirectory();
    empty.apply({ kind: "stamp-put", stamp: "eu-1", pool: "shared", region: "eu", endpoints: [], endpointRevision: 1 });
    const messages = snapshotMessages(empty, at(1, 20), { shrinkConfirmed: false });
    expect(send(newFeedState(at(1, 10)), messages, tableOf(3)).effect).toMatchObject({ reason: "shrinks" });
  });

  test("refuses an older incarnation, an older version, and a lower epoch in any incarnation (I2, I14)", () => {
    const own = tableOf(5, 4);
    const offer = (position: FeedPosition, epoch: number) =>
      send(newFeedState(at(3, 10)), snapshotMessages(tableOf(5, epoch), position, { shrinkConfirmed: true }), own)
        .effect;
    expect(offer(at(2, 99), 9)).toMatchObject({ kind: "refuse", reason: "older-incarnation" });
    expect(offer(at(3, 9), 9)).toMatchObject({ kind: "refuse", reason: "older-version" });
    expect(offer(at(4, 1), 3)).toMatchObject({ kind: "refuse", reason: "epoch-decreases" });
    expect(offer(at(4, 1), 4)).toMatchObject({ kind: "replace" });
  });

  test("refuses one whose parts do not add up to what was announced", () => {
    const all = [...snapshotMessages(tableOf(3), at(1, 20), { shrinkConfirmed: false })];
    const own = tableOf(1);
    const without = send(newFeedState(at(1, 1)), all.toSpliced(1, 1), own);
    expect(without.effect).toMatchObject({ kind: "refuse", reason: "snapshot-broken" });
    const part = all[1];
    if (part === undefined) throw new Error("no part");
    expect(send(newFeedState(at(1, 1)), all.toSpliced(1, 0, part), own).effect).toMatchObject({
      reason: "snapshot-broken",
    });
    expect(send(newFeedState(at(1, 1)), all.slice(1), own).effect).toMatchObject({ kind: "resync" });
  });
});

describe("acceptFeed() and the head", () => {
  const hello = (position: FeedPosition, mode: "normal" | "recovering" = "normal"): FeedMessage => ({
    kind: "hello",
    mode,
    heartbeatMs: 5_000,
    ...position,
  });

  test("keeps its own and reports while the control plane recovers (D9)", () => {
    const { state, effect } = send(newFeedState(at(1, 10)), [hello(at(2, 4), "recovering")], tableOf(2));
    expect(effect).toEqual({ kind: "report" });
    const snapshot = snapshotMessages(tableOf(1), at(2, 5), { shrinkConfirmed: true });
    expect(send(state, snapshot, tableOf(2)).effect).toMatchObject({ kind: "refuse", reason: "recovering" });
  });

  test("notices a restored store: an older incarnation, a head behind ours, another chain (I42)", () => {
    const told = (position: FeedPosition) => send(newFeedState(at(2, 10)), [hello(position)], tableOf(2)).effect;
    expect(told(at(1, 10))).toMatchObject({ reason: "older-incarnation" });
    expect(told(at(2, 9))).toMatchObject({ reason: "older-version" });
    expect(told(at(2, 10, "b"))).toMatchObject({ reason: "diverged" });
    expect(told(at(2, 10))).toBeUndefined();
    expect(told(at(2, 11))).toBeUndefined();
    expect(told(at(3, 10))).toMatchObject({ kind: "resync", from: "start" });
    expect(send(reconnected(newFeedState(at(2, 10)), "start"), [hello(at(3, 10))], tableOf(2)).effect).toBeUndefined();
    expect(send(newFeedState(feedStart), [hello(at(3, 10))], tableOf(0)).effect).toBeUndefined();
  });

  test("asks again when a head it heard of does not arrive before the next heartbeat", () => {
    const beat = (version: number): FeedMessage => ({ kind: "heartbeat", ...at(1, version) });
    const first = send(newFeedState(at(1, 10)), [beat(12)], tableOf(2));
    expect(first.effect).toBeUndefined();
    expect(send(first.state, [beat(12)], tableOf(2)).effect).toMatchObject({ kind: "resync", from: "position" });
  });

  test("refuses a chained delta that lowers an epoch or takes a hostname, and stays where it was (I2)", () => {
    const own = tableOf(2, 5);
    const change = { kind: "tenant-put", tenant: "t0", stamp: "eu-2", epoch: 4, hostnames: [] } as const;
    const delta: FeedMessage = {
      kind: "delta",
      incarnation: 1,
      version: 11,
      chain: nextChain(chain("a"), change, sha256),
      change,
    };
    const { state, effect } = send(newFeedState(at(1, 10)), [delta], own);
    expect(effect).toMatchObject({ kind: "refuse", reason: "epoch-decreases" });
    expect(state.position.version).toBe(10);
  });

  test("a router without a copy stands at version 0", () => {
    expect(newFeedState(feedStart).position).toEqual({ incarnation: 0, version: 0, chain: chain("0") });
  });
});
