import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { acceptFeed, type FeedState, feedStart, newFeedState } from "./accept-feed.ts";
import { type DirectoryChange, type DirectoryVersion, nextChain } from "./change.ts";
import type { FeedMessage, FeedPosition } from "./feed.ts";
import { createFrameDecoder, encodeFrame } from "./frame.ts";
import { encodeJournalEntry, replayJournal } from "./journal.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot.ts";
import { snapshotMessages } from "./snapshot-messages.ts";
import type { Directory, DirectoryView } from "./directory.ts";
import { createDirectory } from "./table.ts";

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());

/** Few names, so that histories meet: the same tenant moves, goes, comes back, and hostnames change hands. */
const tenant = fc.constantFrom("acme", "globex", "initech", "umbrella", "hooli");
const stamp = fc.constantFrom("eu-1", "eu-2", "us-1");
const hostnames = fc.uniqueArray(fc.constantFrom("a.example.com", "b.example.com", "c.example.com"), { maxLength: 2 });
const change: fc.Arbitrary<DirectoryChange> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("tenant-put" as const),
      tenant,
      stamp,
      epoch: fc.integer({ min: 1, max: 6 }),
      hostnames,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("tenant-remove" as const), tenant }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("stamp-put" as const),
      stamp,
      pool: fc.constant("shared"),
      region: fc.constant("eu-central"),
      endpoints: fc.array(fc.record({ host: fc.constant("127.0.0.1"), port: fc.integer({ min: 1, max: 65_535 }) }), {
        maxLength: 3,
      }),
      endpointRevision: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("stamp-remove" as const), stamp }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<DirectoryChange>(
      { kind: "routing-put", routing: { domains: ["localhost"] } },
      { kind: "routing-put", routing: { domains: ["a.test", "b.test"], path: { prefix: "/t", strip: true } } },
    ),
  },
);

/** A true history: changes that the table refuses are not part of it, as with a right producer. */
function historyOf(changes: readonly DirectoryChange[], from: FeedPosition, table = createDirectory()) {
  const versions: DirectoryVersion[] = [];
  let position = from;
  for (const next of changes) {
    if (table.apply(next) !== undefined) continue;
    const chain = nextChain(position.chain, next, sha256);
    position = { incarnation: from.incarnation, version: position.version + 1, chain };
    versions.push({ ...position, change: next });
  }
  return { table, versions, position };
}

function contentOf(table: DirectoryView) {
  return [...table.puts()].map((put) => JSON.stringify(put)).sort();
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** A router in a box: does the effects to a table. */
function follower(start: FeedState) {
  let state = start;
  let table: Directory = createDirectory();
  const trouble: string[] = [];
  return {
    send(message: FeedMessage) {
      const step = acceptFeed(state, message, table, sha256);
      state = step.next;
      for (const effect of step.effects) {
        if (effect.kind === "apply") expect(table.apply(effect.change)).toBeUndefined();
        else if (effect.kind === "replace") table = effect.directory;
        else trouble.push(effect.kind);
      }
    },
    table: () => table,
    state: () => state,
    trouble,
  };
}

const begin: FeedPosition = { ...feedStart, incarnation: 1 };

describe("random histories", () => {
  test("acceptFeed() gives the same table by deltas only and by snapshot and deltas", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.nat(), (changes, cut) => {
        const full = historyOf(changes, begin);
        const at = full.versions.length === 0 ? 0 : cut % (full.versions.length + 1);
        const half = historyOf(
          full.versions.slice(0, at).map((version) => version.change),
          begin,
        );

        const byDeltas = follower(newFeedState(begin));
        for (const version of full.versions) byDeltas.send({ kind: "delta", ...version });

        const bySnapshot = follower(newFeedState(feedStart));
        for (const message of snapshotMessages(half.table, half.position, { shrinkConfirmed: false }))
          bySnapshot.send(message);
        // Deltas from before the snapshot arrive again, which must change nothing.
        for (const version of full.versions.slice(Math.max(0, at - 3))) bySnapshot.send({ kind: "delta", ...version });

        expect(byDeltas.trouble).toEqual([]);
        expect(bySnapshot.trouble).toEqual([]);
        expect(contentOf(byDeltas.table())).toEqual(contentOf(full.table));
        expect(contentOf(bySnapshot.table())).toEqual(contentOf(full.table));
        expect(bySnapshot.state().position).toEqual(full.position);
      }),
      { numRuns: 300 },
    );
  });

  test("acceptFeed() never applies a delta when one before it is missing, reordered or of another history", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 4, maxLength: 30 }), fc.nat(), fc.nat(2), (changes, where, fault) => {
        const { versions } = historyOf(changes, begin);
        fc.pre(versions.length >= 3);
        const at = where % (versions.length - 2);
        const sent = [...versions];
        const [first, second] = [sent[at], sent[at + 1]];
        if (first === undefined || second === undefined) return;
        if (fault === 0) sent.splice(at, 1);
        if (fault === 1) sent.splice(at, 2, second, first);
        if (fault === 2) sent[at] = { ...first, change: { kind: "stamp-remove", stamp: "other" } };

        const router = follower(newFeedState(begin));
        for (const version of sent) {
          router.send({ kind: "delta", ...version });
          if (router.trouble.length > 0) break;
        }
        expect(router.trouble).toEqual(["resync"]);
        expect(contentOf(router.table())).toEqual(
          contentOf(
            historyOf(
              versions.slice(0, at).map((v) => v.change),
              begin,
            ).table,
          ),
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe("files", () => {
  test("decodeSnapshot() gives back what encodeSnapshot() wrote", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const { table, position } = historyOf(changes, begin);
        const decoded = decodeSnapshot(encodeSnapshot(table, position, sha256), sha256);
        if (decoded.kind !== "ok") throw new Error(decoded.reason);
        expect(decoded.position).toEqual(position);
        expect(contentOf(decoded.directory)).toEqual(contentOf(table));
      }),
    );
  });

  test("decodeSnapshot() gives no table for a snapshot with any byte changed or cut off (I14)", () => {
    const { table, position } = historyOf(fc.sample(change, { seed: 7, numRuns: 25 }), begin);
    const file = encodeSnapshot(table, position, sha256);
    for (let at = 0; at < file.length; at++) {
      const damaged = Uint8Array.from(file);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      expect(decodeSnapshot(damaged, sha256).kind, `byte ${at}`).toBe("corrupt");
      expect(decodeSnapshot(file.subarray(0, at), sha256).kind, `cut at ${at}`).toBe("corrupt");
    }
  });

  test("replayJournal() gives a true earlier table whatever byte is changed or cut off (I14)", () => {
    const { versions } = historyOf(fc.sample(change, { seed: 11, numRuns: 25 }), begin);
    const states = versions.map((_, count) =>
      contentOf(
        historyOf(
          versions.slice(0, count).map((v) => v.change),
          begin,
        ).table,
      ),
    );
    const file = concat(versions.map(encodeJournalEntry));
    for (let at = 0; at < file.length; at++) {
      const damaged = Uint8Array.from(file);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      for (const [name, bytes] of [
        ["flipped", damaged],
        ["cut", file.subarray(0, at)],
      ] as const) {
        const table = createDirectory();
        const replayed = replayJournal(bytes, table, begin, sha256);
        expect(contentOf(table), `${name} at ${at}`).toEqual(states[replayed.applied]);
        expect(replayed.position.version).toBe(replayed.applied);
        if (name === "flipped") expect(replayed.end, `${name} at ${at}`).not.toBe("clean");
        else expect(["clean", "torn"]).toContain(replayed.end);
      }
    }
  });

  test("replayJournal() can be cut at goodBytes and continued", () => {
    const { versions, table, position } = historyOf(fc.sample(change, { seed: 3, numRuns: 20 }), begin);
    const file = concat(versions.map(encodeJournalEntry));
    const torn = replayJournal(file.subarray(0, file.length - 5), createDirectory(), begin, sha256);
    expect(torn.end).toBe("torn");
    const continued = concat([
      file.subarray(0, torn.goodBytes),
      ...versions.slice(torn.applied).map(encodeJournalEntry),
    ]);
    const again = createDirectory();
    expect(replayJournal(continued, again, begin, sha256)).toMatchObject({ end: "clean", position });
    expect(contentOf(again)).toEqual(contentOf(table));
  });

  test("replayJournal() refuses a gap and another history", () => {
    const { versions } = historyOf(fc.sample(change, { seed: 5, numRuns: 20 }), begin);
    const entries = versions.map(encodeJournalEntry);
    expect(replayJournal(concat(entries.toSpliced(2, 1)), createDirectory(), begin, sha256)).toMatchObject({
      end: "gap",
      applied: 2,
    });
    const other = { ...begin, chain: "f".repeat(64) };
    expect(replayJournal(concat(entries), createDirectory(), other, sha256)).toMatchObject({
      end: "chain",
      applied: 0,
    });
  });
});

describe("frames", () => {
  test("createFrameDecoder() gives the same messages however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
        (changes, cuts) => {
          const messages = historyOf(changes, begin).versions.map(
            (version): FeedMessage => ({ kind: "delta", ...version }),
          );
          const bytes = concat(messages.map(encodeFrame));
          const decoder = createFrameDecoder();
          const seen: unknown[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const length = cuts[turn % cuts.length] ?? 1;
            for (const event of decoder.push(bytes.subarray(at, at + length)))
              seen.push(event.kind === "message" ? event.message : event);
            at += length;
          }
          expect(seen).toEqual(messages);
          expect([decoder.consumed(), decoder.pending()]).toEqual([bytes.length, 0]);
        },
      ),
    );
  });

  test("createFrameDecoder() never throws on noise and gives nothing after the first damage", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const decoder = createFrameDecoder();
        const events = [...decoder.push(noise), ...decoder.push(encodeFrame({ kind: "heartbeat", ...begin }))];
        const damage = events.findIndex((event) => event.kind === "corrupt");
        expect(events.filter((event) => event.kind === "message")).toHaveLength(damage === -1 ? events.length : damage);
        if (damage !== -1) expect(events).toHaveLength(damage + 1);
      }),
    );
  });
});
