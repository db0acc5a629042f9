import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DirectoryChange, type FeedPosition, feedStart, nextChain } from "@stampyard/directory";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadDirectory, newDirectory, openDirectoryFiles, sha256 } from "./directory-files.ts";

/** A few seconds here; `npm run test:snapshots:long` sets more. */
const cases = Number(process.env["STAMPYARD_DAMAGED_FILES"] ?? 400);
const seed = Number(process.env["STAMPYARD_SEED"] ?? 7);

const tenants = Array.from({ length: 14 }, (_, number) => `t${number}`);
const hostnames = Array.from({ length: 20 }, (_, number) => `h${number}.example.com`);

/** Everything a request can ask of a table, as one text. */
type Content = string;

interface Files {
  readonly bytes: ReadonlyMap<string, Buffer>;
  /** What is true at each version. */
  readonly truth: ReadonlyMap<number, { readonly content: Content; readonly chain: string }>;
  readonly head: FeedPosition;
}

/** The same numbers for the same seed (mulberry32). */
function randomOf(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function contentOf(table: ReturnType<typeof newDirectory>): Content {
  const homes = tenants.map((tenant) => [tenant, table.lookupTenant(tenant), table.tenantAt(table.findTenant(tenant))]);
  const hosts = hostnames.map((host) => [host, table.lookupHostname(host)]);
  const stamps = ["s-1", "s-2", "s-3"].map((stamp) => [table.lookupStamp(stamp), table.tenantCountOf(stamp)]);
  return JSON.stringify([homes, hosts, stamps, table.routing(), table.counts()]);
}

function randomChange(random: (below: number) => number, turn: number): DirectoryChange {
  const tenant = tenants[random(tenants.length)] as string;
  if (turn < 3) {
    const endpoints = [{ host: "127.0.0.1", port: 1_000 + turn }];
    return { kind: "stamp-put", stamp: `s-${turn + 1}`, pool: "p", region: "eu", endpoints, endpointRevision: turn };
  }
  if (random(6) === 0) return { kind: "tenant-remove", tenant };
  const hosts = [hostnames[random(hostnames.length)] as string].slice(random(2));
  return { kind: "tenant-put", tenant, stamp: `s-${1 + random(3)}`, epoch: 1 + turn, hostnames: hosts };
}

/** Two generations with their journals, as a router leaves them. */
async function makeFiles(folder: string): Promise<Files> {
  const random = randomOf(99);
  const table = newDirectory();
  let durable = 0;
  let head: FeedPosition = { ...feedStart, incarnation: 1 };
  const truth = new Map([[0, { content: contentOf(table), chain: head.chain }]]);
  const loaded = await loadDirectory(folder);
  const files = openDirectoryFiles(folder, loaded.files, {
    onDurable: ({ version }) => {
      durable = version;
    },
    onTrouble: (reason) => expect.unreachable(reason),
  });
  for (let turn = 0; turn < 160; turn++) {
    const change = randomChange(random, turn);
    if (table.apply(change) !== undefined) continue;
    head = { incarnation: 1, version: head.version + 1, chain: nextChain(head.chain, change, sha256) };
    truth.set(head.version, { content: contentOf(table), chain: head.chain });
    if (turn === 40 || turn === 100) files.snapshot(table, head);
    else if (turn > 40) files.append({ ...head, change });
  }
  await files.close();
  expect(durable).toBe(head.version);
  const bytes = new Map<string, Buffer>();
  for (const name of await readdir(folder)) bytes.set(name, await readFile(join(folder, name)));
  return { bytes, truth, head };
}

/** What happens to disks and their people. Gives the name of what was done, for the message of a failure. */
function damage(files: Map<string, Buffer>, random: (below: number) => number): string {
  const names = [...files.keys()];
  const name = names[random(names.length)] as string;
  const other = names[random(names.length)] as string;
  const file = Buffer.from(files.get(name) as Buffer);
  const at = random(file.length + 1);
  const kinds: readonly (readonly [string, () => void])[] = [
    ["flip a bit", () => at < file.length && file.writeUInt8(file.readUInt8(at) ^ (1 << random(8)), at)],
    [
      "flip a bit of the head",
      () => file.length > 64 && file.writeUInt8(file.readUInt8(at % 64) ^ (1 << random(8)), at % 64),
    ],
    ["cut", () => files.set(name, file.subarray(0, at))],
    ["cut at a block", () => files.set(name, file.subarray(0, Math.floor(at / 512) * 512))],
    ["zero a block", () => file.fill(0, at, Math.min(at + 512, file.length))],
    [
      "noise in a block",
      () => file.set(Buffer.from(Array.from({ length: Math.min(512, file.length - at) }, () => random(256))), at),
    ],
    ["empty", () => files.set(name, Buffer.alloc(0))],
    ["append", () => files.set(name, Buffer.concat([file, Buffer.from("{}\n".repeat(1 + random(50)))]))],
    ["lose", () => files.delete(name)],
    ["another file's bytes", () => files.set(name, files.get(other) as Buffer)],
    [
      "another file's block",
      () => file.set((files.get(other) as Buffer).subarray(at, Math.min(at + 512, file.length)), at),
    ],
    ["twice", () => files.set(name, Buffer.concat([file, file]))],
    ["a piece twice", () => files.set(name, Buffer.concat([file.subarray(0, at), file.subarray(at >> 1)]))],
    ["a copy as a later generation", () => files.set(name.replace(/[0-9]{8}/, "00000009"), file)],
  ];
  const [kind, act] = kinds[random(kinds.length)] as (typeof kinds)[number];
  files.set(name, file);
  act();
  return `${kind}: ${name} at ${at} with ${other}`;
}

let folder: string;
let whole: Files;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-damaged-"));
  whole = await makeFiles(join(folder, "whole"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Loads a folder with these files and holds it against what was true: a table of some moment, exactly, or none. */
async function load(name: string, files: ReadonlyMap<string, Buffer>, told: string): Promise<number | undefined> {
  const place = join(folder, name);
  await mkdir(place);
  for (const [file, bytes] of files) await writeFile(join(place, file), bytes);
  const { directory, position } = await loadDirectory(place);
  await rm(place, { recursive: true });
  if (directory === undefined) {
    expect(position, told).toEqual(feedStart);
    return undefined;
  }
  const truth = whole.truth.get(position.version);
  expect(position, told).toEqual({ incarnation: 1, version: position.version, chain: truth?.chain });
  expect(contentOf(directory), told).toBe(truth?.content);
  return position.version;
}

test("loadDirectory() gives the newest version out of whole files", async () => {
  expect([...whole.bytes.keys()].sort()).toEqual(
    ["00000001", "00000002"].flatMap((number) => [`directory-${number}.journal`, `directory-${number}.snapshot`]),
  );
  expect(await load("whole-again", whole.bytes, "nothing")).toBe(whole.head.version);
});

test(`loadDirectory() never misroutes out of ${cases} folders of damaged files (I14)`, async () => {
  const random = randomOf(seed);
  const outcomes = { none: 0, older: 0, newest: 0 };
  for (let number = 0; number < cases; number++) {
    const files = new Map(whole.bytes);
    const done: string[] = [];
    for (let times = 1 + random(3); times > 0 && files.size > 0; times--) done.push(damage(files, random));
    const version = await load(`case-${number}`, files, `seed ${seed}, case ${number}: ${done.join("; ")}`);
    outcomes[version === undefined ? "none" : version === whole.head.version ? "newest" : "older"] += 1;
  }
  // Otherwise the damage was not what it is meant to be.
  for (const [outcome, count] of Object.entries(outcomes)) expect(count, outcome).toBeGreaterThan(cases / 20);
}, 120_000);
