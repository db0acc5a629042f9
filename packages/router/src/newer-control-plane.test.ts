import type { DirectoryChange } from "@stampyard/directory";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

// A router that is older than its control plane (FEED.md): what it does not know must not stop it, or must stop it cleanly.

let bed: TestBed;

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const directoryOf = async (router: RunningRouter) =>
  (await ask(router.adminPort, { host: "127.0.0.1", path: "/directory" })).json();
const serves = (router: RunningRouter, tenant: string) =>
  eventually(async () => expect((await ask(router.listenPort, { host: `${tenant}.localhost` })).status).toBe(200));
const inStep = (router: RunningRouter) =>
  eventually(async () => expect(await directoryOf(router)).toMatchObject({ durable: bed.controlPlane.head() }));

/** As a newer control plane would make them. */
const newer = (change: DirectoryChange, more: object) => ({ ...change, ...more }) as DirectoryChange;

test("fields that it does not know neither stop the router nor break the chain, on disk neither", async () => {
  const router = await bed.start();
  await serves(router, "acme");
  bed.controlPlane.change(newer(tenantPut("initech", "eu-2"), { zone: { name: "a", weight: 1.5 }, "a b": null }));
  const routing = { domains: ["localhost"], shadows: [{ stamps: ["eu-1"], routing: { domains: [] } }] };
  bed.controlPlane.change(newer({ kind: "routing-put", routing }, { mirror: true }));
  bed.controlPlane.change(tenantPut("umbrella", "eu-1"));
  await serves(router, "umbrella");
  await inStep(router);
  const before = await directoryOf(router);
  await router.close();

  // From the journal, which holds the changes as they came; then from the snapshot that the second start wrote.
  for (const _ of [1, 2]) {
    const again = await bed.start({ controlPlane: undefined } as never);
    await serves(again, "initech");
    await serves(again, "umbrella");
    expect(await directoryOf(again)).toMatchObject({ position: before["position"], counts: before["counts"] });
    await again.close();
  }
});

test("a message of a kind that it does not know is left", async () => {
  const router = await bed.start();
  await serves(router, "acme");
  bed.controlPlane.send({ kind: "greeting", text: "hello" } as never);
  bed.controlPlane.change(tenantPut("initech", "eu-2"));
  await serves(router, "initech");
  await inStep(router);
  expect(bed.controlPlane.asked).toHaveLength(1);
});

test("a change of a kind that it does not know stops it where it is, and it says why (I14)", async () => {
  const router = await bed.start();
  await serves(router, "acme");
  await inStep(router);
  const { position } = await directoryOf(router);
  const { version, incarnation } = bed.controlPlane.head();
  const change = { kind: "tenant-split", tenant: "acme" };
  bed.controlPlane.send({ kind: "delta", incarnation, version: version + 1, chain: "f".repeat(64), change } as never);
  await eventually(async () =>
    expect((await ask(router.adminPort, { host: "127.0.0.1", path: "/metrics" })).body).toContain(
      'stampyard_router_feed_refusals_total{kind="unknown-change"} 1',
    ),
  );
  await serves(router, "acme");
  expect((await directoryOf(router))["position"]).toEqual(position);
});
