import { expect, test } from "vitest";
import { digest, releaseFixture, stampFixture } from "../store/test-store.ts";
import { matrixOf } from "./release-matrix.ts";

const hour = 3_600_000;
const now = 100 * hour;
const release = (version: string, createdAt: number) => ({
  ...releaseFixture(version),
  createdBy: "tester",
  createdAt,
});
const releases = [release("3.0.0", 99 * hour), release("2.0.0", 70 * hour), release("1.0.0", 10 * hour)];

function row(name: string, version: string, seen?: string, updatedAt = now - 1_000) {
  const stamp = stampFixture(name, { releaseDigest: digest(version), stampDigest: digest(`${name} ${version}`) });
  const observation = {
    stamp: name,
    presence: "present",
    host: "up",
    ...(seen === undefined ? {} : { stampDigest: digest(`${name} ${seen}`) }),
    endpoints: [],
    endpointRevision: 1,
    components: [],
  } as const;
  return {
    stamp: { value: stamp, revision: 1, createdAt: 0, updatedAt },
    seen: [name, { observation, at: now }] as const,
  };
}

function matrix(rows: readonly ReturnType<typeof row>[], wanted = ["2.0.0", "3.0.0"], more = {}) {
  return matrixOf({
    now,
    stamps: rows.map(({ stamp }) => stamp),
    observed: new Map(rows.map(({ seen }) => seen)),
    releases,
    wanted: new Set(wanted.map((version) => digest(version))),
    current: digest("2.0.0"),
    pins: new Map(),
    rollouts: new Map(),
    ...more,
  });
}

test("matrixOf() says who runs what, who is on its way, and who cannot be looked at", () => {
  const { stamps, releases: columns } = matrix([
    row("c", "3.0.0", "3.0.0"),
    row("a", "3.0.0", "2.0.0"),
    row("b", "2.0.0"),
  ]);
  expect(stamps.map(({ stamp, version, converged }) => [stamp, version, converged])).toEqual([
    ["a", "3.0.0", false],
    ["b", "2.0.0", undefined],
    ["c", "3.0.0", true],
  ]);
  expect(columns.map(({ version, current, stamps: count }) => [version, current, count])).toEqual([
    ["3.0.0", false, 2],
    ["2.0.0", true, 1],
  ]);
});

test("matrixOf() counts from the first newer release that the fleet wants, and forgets one that was taken back", () => {
  const rows = [row("a", "1.0.0", "1.0.0"), row("b", "2.0.0", "2.0.0"), row("c", "3.0.0", "3.0.0")];
  const behind = (wanted: string[]) => matrix(rows, wanted).stamps.map(({ behindMs }) => behindMs / hour);
  expect(behind(["2.0.0", "3.0.0"])).toEqual([30, 1, 0]);
  expect(behind(["2.0.0"])).toEqual([30, 0, 0]);
  expect(behind(["1.0.0"])).toEqual([0, 0, 0]);
});

test("matrixOf() alerts of a stamp that is a day behind, with its pin, and of one that does not arrive", () => {
  const pin = { subject: { kind: "stamp", name: "a" }, until: now + hour, reason: "an import", by: "tester", since: 0 };
  const rows = [
    row("a", "1.0.0", "1.0.0"),
    row("b", "3.0.0", "2.0.0", now - hour),
    row("c", "3.0.0", undefined, now - hour),
    row("d", "3.0.0", "2.0.0", now - 60_000),
  ];
  const { alerts } = matrix(rows, undefined, { pins: new Map([["a", [pin]]]) });
  expect(alerts.map(({ kind, stamp, text }) => [kind, stamp, text])).toEqual([
    [
      "release-age",
      "a",
      "it runs release 1.0.0, and there has been a newer one for 30 h; pinned until 1970-01-05T05:00:00.000Z: an import",
    ],
    ["not-converged", "b", "it does not run what it should, release 3.0.0"],
    ["not-converged", "c", "it cannot be looked at, and should run release 3.0.0"],
  ]);
});
