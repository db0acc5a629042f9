import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chainStart } from "@stampyard/directory";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { startFakeControlPlane } from "./test-bed/fake-control-plane.ts";
import { ask, eventually, keyOf, makeTestBed, startFakeStamp, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

let bed: TestBed;

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const admin = async (router: RunningRouter, path: string, method = "GET") =>
  await ask(router.adminPort, { host: "127.0.0.1", path, method });
const directoryOf = async (router: RunningRouter) => (await admin(router, "/directory")).json();
const serves = (router: RunningRouter, tenant: string, status = 200) =>
  eventually(async () => expect((await ask(router.listenPort, { host: `${tenant}.localhost` })).status).toBe(status));

/** The router has all of it, on disk too, and has said so. */
async function inStep(router: RunningRouter, controlPlane = bed.controlPlane): Promise<void> {
  await eventually(() => expect(controlPlane.acknowledged.at(-1)).toMatchObject(controlPlane.head()));
  expect(await directoryOf(router)).toMatchObject({ position: controlPlane.head(), durable: controlPlane.head() });
}

describe("following", () => {
  test("takes a snapshot, then changes, and acknowledges what is on disk", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    expect(bed.controlPlane.asked).toEqual([{ incarnation: 0, version: 0, chain: chainStart }]);
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    await serves(router, "initech");
    await inStep(router);
    expect(bed.controlPlane.acknowledged.at(-1)?.router).toBe("r1");
    bed.controlPlane.change({ kind: "tenant-remove", tenant: "initech" });
    await serves(router, "initech", 404);
  });

  test("says where clients enter: its own door, another address, or nothing behind the PROXY protocol", async () => {
    const router = await bed.start();
    await eventually(() => expect(bed.controlPlane.entrances).toEqual([`http://127.0.0.1:${router.listenPort}`]));
    await router.close();
    await (await bed.start({ entrance: "https://edge.example.com" })).close();
    await (await bed.start({ proxyPeers: ["10.0.0.5"] })).close();
    await eventually(() => expect(bed.controlPlane.entrances).toHaveLength(3));
    expect(bed.controlPlane.entrances.slice(1)).toEqual(["https://edge.example.com", undefined]);
  });

  test("sends its token from the file, read anew for each connection", async () => {
    const tokenFile = join(bed.folder, "token");
    await writeFile(tokenFile, "first\n");
    const router = await bed.start({ controlPlane: { url: bed.controlPlane.url, tokenFile } });
    await serves(router, "acme");
    expect(bed.controlPlane.authorizations[0]).toBe("Bearer first");
    await writeFile(tokenFile, "second\n");
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    await eventually(() => expect(bed.controlPlane.authorizations.at(-1)).toBe("Bearer second"));
  });

  test("resumes from its position after the control plane comes back", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    await inStep(router);
    const before = bed.controlPlane.head();
    bed.controlPlane.send({ kind: "heartbeat", ...before, version: before.version - 1 });
    await eventually(() => expect(bed.controlPlane.asked.length).toBeGreaterThan(1));
    expect(bed.controlPlane.asked.at(-1)).toEqual(before);
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    await serves(router, "initech");
  });

  test("a gap or another chain is not applied; it asks again and gets it right", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    const { incarnation, version } = bed.controlPlane.head();
    bed.controlPlane.send({
      kind: "delta",
      incarnation,
      version: version + 1,
      chain: "f".repeat(64),
      change: tenantPut("evil", "eu-1"),
    });
    await eventually(() => expect(bed.controlPlane.asked.length).toBeGreaterThan(1));
    bed.controlPlane.send({
      kind: "delta",
      incarnation,
      version: version + 5,
      chain: "f".repeat(64),
      change: tenantPut("evil", "eu-1"),
    });
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    await serves(router, "initech");
    await serves(router, "evil", 404);
  });

  test("signs with the newest key, which stays apart from the snapshot, 0600 (D7, I33)", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    const [stamp] = bed.stamps;
    const next = keyOf("next", 77);
    bed.controlPlane.setKeys("eu-1", [next, ...stamp.keys]);
    await eventually(async () => {
      await ask(router.listenPort);
      expect(String(stamp.seen.at(-1)?.headers["stampyard-route"])).toMatch(/^v1;next;/);
    });
    await inStep(router);
    await router.close();
    expect(JSON.parse(await readFile(join(bed.folder, "keys.json"), "utf8"))["eu-1"][0]).toEqual(next);
    expect((await stat(join(bed.folder, "keys.json"))).mode & 0o777).toBe(0o600);
    for (const name of await readdir(bed.folder)) {
      if (name !== "keys.json") expect(await readFile(join(bed.folder, name), "utf8"), name).not.toContain(next.secret);
    }
  });
});

describe("without the control plane", () => {
  test("goes on serving, and starts and serves from disk (I3)", async () => {
    const first = await bed.start();
    await serves(first, "acme");
    bed.controlPlane.change(tenantPut("initech", "eu-2", 4));
    await serves(first, "initech");
    await inStep(first);
    await bed.controlPlane.stop();
    expect((await ask(first.listenPort)).status).toBe(200);
    await first.close();

    const second = await bed.start();
    const answer = await ask(second.listenPort, { host: "initech.localhost" });
    expect(answer.json()).toMatchObject({ stamp: "eu-2", verdict: { kind: "pass", tenant: "initech", epoch: 4 } });
    expect((await ask(second.listenPort, { host: "nobody.localhost" })).status).toBe(404);
    expect((await admin(second, "/readyz")).status).toBe(200);
  });

  test("a new router without any copy is not ready and forwards nothing", async () => {
    await bed.controlPlane.stop();
    const router = await bed.start();
    expect((await ask(router.listenPort)).json()).toMatchObject({ status: 503, reason: "not-ready" });
    expect((await admin(router, "/readyz?verbose")).json()).toMatchObject({ ready: false });
    expect((await admin(router, "/livez")).status).toBe(200);
  });

  /** Runs a router over several generations, and ends it. */
  async function leaveGenerations(): Promise<void> {
    const router = await bed.start({}, { snapshotEveryMs: 0 });
    await serves(router, "acme");
    for (let n = 0; n < 60; n++) bed.controlPlane.change(tenantPut(`t${n}`, "eu-1", n + 1));
    await inStep(router);
    await router.close();
    await bed.controlPlane.stop();
  }

  const generations = async (kind: string) => (await readdir(bed.folder)).filter((name) => name.endsWith(kind)).sort();

  test("keeps two snapshots, and the journals between them", async () => {
    await leaveGenerations();
    const snapshots = await generations(".snapshot");
    expect(snapshots).toHaveLength(2);
    expect(await generations(".journal")).toHaveLength(2);
    expect(Number(/\d+/.exec(snapshots[1] ?? "")?.[0])).toBeGreaterThan(3);
  });

  test.each(["flipped", "cut", "empty"])(
    "a %s snapshot falls back to the older generation, and loses nothing (I14)",
    async (damage) => {
      await leaveGenerations();
      const newest = join(bed.folder, (await generations(".snapshot")).at(-1) ?? "");
      const bytes = await readFile(newest);
      if (damage === "flipped") bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(newest, damage === "cut" ? bytes.subarray(0, 100) : damage === "empty" ? "" : bytes);
      const logged: string[] = [];
      const router = await bed.start({}, { log: (_level, message) => logged.push(message) });
      expect(await directoryOf(router)).toMatchObject({ position: bed.controlPlane.head(), counts: { tenants: 63 } });
      expect((await ask(router.listenPort, { host: "t59.localhost" })).json()).toMatchObject({
        verdict: { epoch: 60 },
      });
      expect(logged).toContain("directory file is damaged");
    },
  );

  test("a torn journal loses only what was never acknowledged", async () => {
    const first = await bed.start();
    await serves(first, "acme");
    bed.controlPlane.change(tenantPut("initech", "eu-2"), tenantPut("hooli", "eu-2"));
    await inStep(first);
    await bed.controlPlane.stop();
    await first.close();
    const journal = join(bed.folder, (await generations(".journal")).at(-1) ?? "");
    const bytes = await readFile(journal);
    await writeFile(journal, bytes.subarray(0, -7));
    const second = await bed.start();
    await serves(second, "initech");
    await serves(second, "hooli", 404);
  });

  test("when every copy is damaged nothing is routed (I14)", async () => {
    await leaveGenerations();
    for (const name of await generations(".snapshot"))
      await writeFile(join(bed.folder, name), "not a snapshot, and long enough to be one if it were");
    const router = await bed.start();
    expect((await ask(router.listenPort)).json()).toMatchObject({ status: 503, reason: "not-ready" });
    expect((await admin(router, "/readyz")).status).toBe(503);
    expect(bed.stamps[0].seen.filter((request) => request.headers.host === "t59.localhost")).toEqual([]);
  });

  test("two routers do not share a folder", async () => {
    const record = join(bed.folder, "router.json");
    const router = await bed.start();
    const { pid, startTime, url, adminUrl } = JSON.parse(await readFile(record, "utf8"));
    expect([pid, url, adminUrl]).toEqual([
      process.pid,
      `http://127.0.0.1:${router.listenPort}`,
      `http://127.0.0.1:${router.adminPort}`,
    ]);
    const parent = await readFile(`/proc/${process.ppid}/stat`, "latin1");
    const parentStart = parent.slice(parent.lastIndexOf(")") + 2).split(" ")[19];
    await router.close();
    const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    await writeFile(record, JSON.stringify({ pid: process.ppid, bootId, startTime: parentStart }));
    await expect(bed.start()).rejects.toMatchObject({ code: "LOCKED" });
    await writeFile(record, JSON.stringify({ pid: process.ppid, bootId, startTime: `${startTime}0` }));
    await serves(await bed.start(), "acme");
  });
});

describe("a control plane that cannot be believed", () => {
  test("another history under our numbers is refused; a higher incarnation is taken with a snapshot (D9, I42)", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    await inStep(router);
    const own = bed.controlPlane.head();
    const [one] = bed.stamps;
    bed.controlPlane.restore({ incarnation: 1, changes: [one.put(), tenantPut("acme", "eu-1", 1)] });
    await eventually(async () => expect(await directoryOf(router)).toMatchObject({ diverged: true, position: own }));
    expect((await ask(router.listenPort, { host: "globex.localhost" })).status).toBe(200);
    expect((await admin(router, "/metrics")).body).toContain("stampyard_router_feed_diverged 1");
    await eventually(() => expect(bed.controlPlane.asked.length).toBeGreaterThan(3));
    expect(
      bed.controlPlane.asked.slice(1).every((from) => from.version === own.version),
      "never for everything",
    ).toBe(true);

    const routing = { kind: "routing-put", routing: { domains: ["localhost"] } } as const;
    bed.controlPlane.restore({ incarnation: 2, changes: [routing, one.put(), tenantPut("acme", "eu-1", 9)] });
    await eventually(async () =>
      expect((await ask(router.listenPort)).json()).toMatchObject({ verdict: { epoch: 9 } }),
    );
    expect(bed.controlPlane.asked.at(-1)?.version).toBe(0);
    await serves(router, "globex", 404);
    expect(await directoryOf(router)).toMatchObject({ diverged: false, position: { incarnation: 2, version: 3 } });
  });

  test("a store that lost nothing is followed into its next incarnation, although no change comes (D9)", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    await inStep(router);
    const own = bed.controlPlane.head();
    bed.controlPlane.restore({ incarnation: 2, changes: bed.controlPlane.changes() });
    await eventually(async () =>
      expect(await directoryOf(router)).toMatchObject({ position: { ...own, incarnation: 2 } }),
    );
    await inStep(router);
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    await serves(router, "initech");
  });

  test("a recovering control plane is told what we have, and changes nothing (D9)", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    await inStep(router);
    const own = bed.controlPlane.head();
    bed.controlPlane.restore({ incarnation: 2, changes: [], mode: "recovering" });
    await eventually(() => expect(bed.controlPlane.reports.at(-1)?.last).toBe(true));
    const [report] = bed.controlPlane.reports;
    expect(report).toMatchObject({ ...own, router: "r1", part: 0 });
    expect(report?.changes.map((change) => change.kind).sort()).toEqual([
      "routing-put",
      "stamp-put",
      "stamp-put",
      "tenant-put",
      "tenant-put",
      "tenant-put",
    ]);
    expect((await ask(router.listenPort)).status).toBe(200);
    expect(await directoryOf(router)).toMatchObject({ position: own, phase: "recovering" });
  });

  test("a lower epoch is refused, across incarnations too (I2)", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    await inStep(router);
    const [one] = bed.stamps;
    bed.controlPlane.restore({ incarnation: 2, changes: [one.put(), tenantPut("acme", "eu-1", 2)] });
    await eventually(async () =>
      expect(await directoryOf(router)).toMatchObject({ refused: { reason: "epoch-decreases" } }),
    );
    expect((await ask(router.listenPort)).json()).toMatchObject({ verdict: { epoch: 3 } });
  });

  test("a directory that shrank is refused until an operator accepts that version (D8, I14)", async () => {
    for (let n = 0; n < 100; n++) bed.controlPlane.change(tenantPut(`t${n}`, "eu-1"));
    const router = await bed.start();
    await serves(router, "t99");
    await inStep(router);
    const [one] = bed.stamps;
    bed.controlPlane.restore({ incarnation: 2, changes: [one.put(), tenantPut("acme", "eu-1", 3)] });
    await eventually(async () =>
      expect(await directoryOf(router)).toMatchObject({ refused: { reason: "shrinks", version: 2 } }),
    );
    await serves(router, "t99");
    expect((await admin(router, "/directory/accept?version=1", "POST")).status).toBe(409);
    expect((await admin(router, "/directory/accept?version=x", "POST")).status).toBe(400);
    expect((await admin(router, "/directory/accept?version=2", "POST")).status).toBe(200);
    await eventually(async () =>
      expect(await directoryOf(router)).toMatchObject({ position: { incarnation: 2 }, counts: { tenants: 1 } }),
    );
  });

  test("noise instead of frames ends the connection and changes nothing", async () => {
    const router = await bed.start();
    await serves(router, "acme");
    bed.controlPlane.send({ kind: "Noise!" } as never);
    await eventually(async () =>
      expect((await admin(router, "/metrics")).body).toContain('stampyard_router_feed_ends_total{kind="corrupt"} 1'),
    );
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    await serves(router, "initech");
  });

  test("an empty control plane and a new router agree, and the first change arrives", async () => {
    const fresh = bed.own(await startFakeControlPlane());
    const router = await bed.start({ controlPlane: { url: fresh.url } });
    await eventually(async () => expect((await admin(router, "/readyz")).status).toBe(200));
    const stamp = bed.own(await startFakeStamp("us-1", 5));
    fresh.setKeys("us-1", stamp.keys);
    fresh.change({ kind: "routing-put", routing: { domains: ["localhost"] } }, stamp.put(), tenantPut("first", "us-1"));
    await serves(router, "first");
    await inStep(router, fresh);
  });
});
