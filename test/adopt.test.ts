import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, type LightFleet, lightFleet, until } from "./light-fleet.ts";

/** What a company runs before it knows of stamps: one server, told apart by Host, that has never heard of us. */
async function startLegacy() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.headers.host} ${request.url}`);
    response.end(`legacy serves ${request.headers.host}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Stamp {
  readonly name: string;
  readonly phase: string;
  readonly origin: string;
  readonly waitingOn?: string;
  readonly over?: readonly string[];
  readonly used: { readonly tenants: number };
  readonly adoption?: { readonly hasDatabase: boolean; readonly lacking: readonly { readonly capability: string }[] };
}

let fleet: LightFleet;
let legacy: Awaited<ReturnType<typeof startLegacy>>;
let router: string;
const keys = Array.from({ length: 4 }, (_, n) => `customer-${n + 1}`);
const show = (name: string) => fleet.json<Stamp>("stamp", "show", name);
const inPhase = (name: string, phase: string) =>
  until(`${name} to be ${phase}`, async () => ((await show(name)).phase === phase ? true : undefined));

beforeAll(async () => {
  fleet = lightFleet("adopt");
  legacy = await startLegacy();
  writeFileSync(
    join(fleet.dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: adopt }
template: ./stamp.yaml
pools:
  shared: { regions: [eu], stamps: { min: 0, max: 2 } }
routing:
  domains: [localhost]
`,
  );
  writeFileSync(join(fleet.dir, "database-url"), "postgres://app:hunter2@127.0.0.1:1/shop\n");
  writeFileSync(join(fleet.dir, "tenants.ndjson"), keys.map((key) => JSON.stringify({ key })).join("\n"));
  router = (await fleet.up()).router;
}, 60_000);
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await legacy?.[Symbol.asyncDispose]();
}, 60_000);

describe("a company that starts with what it runs", () => {
  test("registers it as stamp zero, over-full and without its data being touched", async () => {
    const adopted = await fleet.run([
      ...["stamp", "adopt", "zero", "--region", "eu", "--endpoint", legacy.url, "--capacity", "tenants=3"],
      ...["--health", "/up", "--database-url-file", "database-url"],
    ]);
    expect(adopted).toMatchObject({ code: 0 });
    expect(adopted.out).toMatch(/^Stamp zero in eu is adopted into pool shared\n {2}no guard: .*--route-key-file/);
    await inPhase("zero", "cordoned");
    const stamp = await show("zero");
    expect(stamp).toMatchObject({ origin: "adopted", adoption: { hasDatabase: true } });
    expect(stamp.adoption?.lacking.map(({ capability }) => capability)).toEqual(["guard", "fence", "drain", "restore"]);
    expect(new Set(legacy.asked)).toEqual(new Set([`GET ${new URL(legacy.url).host} /up`]));
    expect(JSON.stringify(stamp) + adopted.out + adopted.err).not.toContain("hunter2");
  });

  test("brings its tenants, and the router sends all of them there", async () => {
    const imported = await fleet.run(["tenant", "import", "tenants.ndjson", "--stamp", "zero"]);
    expect(imported, imported.err).toMatchObject({ code: 0 });
    for (const key of keys) {
      await until(`${key} to be served`, async () => ((await ask(router, key)).status === 200 ? true : undefined));
      expect(await ask(router, key)).toEqual({ status: 200, text: `legacy serves ${key}.localhost` });
    }
    expect(await show("zero")).toMatchObject({ over: ["tenants"], used: { tenants: 4 }, phase: "cordoned" });
    const again = await fleet.run(["tenant", "import", "tenants.ndjson", "--stamp", "zero"]);
    expect(again, again.err).toMatchObject({ code: 0 });
  });

  test("builds the second stamp beside it, where new tenants go", async () => {
    expect(await fleet.run(["stamp", "create", "shared", "--wait"])).toMatchObject({ code: 0 });
    const verification = { through: "router", router: "router", steps: 1 };
    expect(await show("shared-1"), "a router was there to ask").toMatchObject({ verification });
    const made = await fleet.json<{ stamp: string }>("tenant", "create", "newcomer", "--wait");
    expect(made.stamp).toBe("shared-1");
    expect(await ask(router, "newcomer")).toEqual({ status: 200, text: "1.0.0" });
    expect((await ask(router, "customer-4")).text).toBe("legacy serves customer-4.localhost");
    const planned = await fleet.run(["plan"]);
    expect(planned, "what was adopted is no release of ours").toMatchObject({ code: 0 });
    expect(planned.out).not.toContain("zero");
  });

  test("is told what an adopted stamp cannot do, and who has to leave it", async () => {
    for (const line of [["logs"], ["diff"], ["rotate-keys"]]) {
      const refused = await fleet.run(["stamp", ...line, "zero"]);
      expect(refused.err).toMatch(/Stamp zero was adopted and has no/);
    }
    expect((await fleet.run(["stamp", "destroy", "zero", "--yes"])).err).toMatch(/home of 4 tenants/);
    await fleet.json("stamp", "drain", "zero", "--deadline", "2h");
    await inPhase("zero", "draining");
    expect((await show("zero")).waitingOn).toMatch(
      /^its 4 tenants to leave: customer-1, customer-2, customer-3 and 1 more; /,
    );
  });

  test("forgets it after the last tenant, and it runs on", async () => {
    const left = await Promise.all(keys.map((key) => fleet.run(["tenant", "delete", key, "--yes"])));
    expect(left.map(({ code }) => code)).toEqual(keys.map(() => 0));
    await inPhase("zero", "empty");
    expect(await fleet.run(["stamp", "destroy", "zero", "--yes", "--wait"])).toMatchObject({ code: 0 });
    expect((await fetch(legacy.url)).status).toBe(200);
    const own = new Set(legacy.asked.map((line) => line.split(" ")[0]));
    expect(own, "nobody but clients ever asked for more than a health page").toEqual(new Set(["GET"]));
  });
}, 60_000);
