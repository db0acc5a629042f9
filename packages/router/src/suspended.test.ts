import { connect, type Socket } from "node:net";
import type { DirectoryChange } from "@stampyard/directory";
import { suspendedHome } from "@stampyard/domain";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

let bed: TestBed;
const opened: Socket[] = [];

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await bed[Symbol.asyncDispose]();
});

/** As the control plane says that a tenant of eu-1 is suspended. */
const suspended = (tenant: string, epoch: number, hostnames: string[] = []): DirectoryChange => ({
  kind: "tenant-put",
  tenant,
  stamp: suspendedHome,
  epoch,
  hostnames,
  home: "eu-1",
});
const seen = () => bed.stamps.map((stamp) => stamp.seen.length);
const problem = { status: 403, code: "TENANT_SUSPENDED", reason: "tenant-suspended", title: "Tenant is suspended" };

test("a suspended tenant is answered 403 and never proxied, its neighbours are, and resuming serves it again", async () => {
  const router = await bed.start();
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
  bed.controlPlane.change(suspended("acme", 3, ["notes.acme.com"]));
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(403));

  const before = seen();
  for (const host of ["acme.localhost", "notes.acme.com"]) {
    const answer = await ask(router.listenPort, { host, method: "POST", body: "x" });
    expect(answer.json()).toMatchObject(problem);
    expect(answer.headers["retry-after"]).toBeUndefined();
    expect(answer.body).not.toContain("eu-1");
  }
  expect(seen()).toEqual(before);
  expect((await ask(router.listenPort, { host: "umbrella.localhost" })).status).toBe(200);

  bed.controlPlane.change(tenantPut("acme", "eu-1", 3, ["notes.acme.com"]));
  await eventually(async () => expect((await ask(router.listenPort)).json()).toMatchObject({ stamp: "eu-1" }));
});

test("no fallback takes a suspended tenant, and its open connections end", async () => {
  const catchAll = { stamp: "eu-2", until: "2099-12-31" };
  bed.controlPlane.change({ kind: "routing-put", routing: { domains: ["localhost"], catchAll } });
  const [stamp] = bed.stamps;
  stamp.handler = (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: hello\n\n");
  };
  const router = await bed.start();
  const request = "GET /events HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
  let text = "";
  const reader = connect(router.listenPort, "127.0.0.1");
  opened.push(reader);
  reader.setEncoding("latin1");
  reader.on("data", (chunk: string) => {
    text += chunk;
    // Too early: the directory was not there yet.
    if (/ (?:503|404) /.test(text)) {
      text = "";
      reader.write(request);
    }
  });
  reader.on("error", () => {});
  reader.write(request);
  await eventually(() => expect(text).toContain("data: hello"));
  bed.controlPlane.change(suspended("acme", 3));
  await eventually(() => expect(text.endsWith("\r\n0\r\n\r\n")).toBe(true));
  const before = seen();
  expect((await ask(router.listenPort)).json()).toMatchObject(problem);
  expect((await ask(router.listenPort, { host: "nobody.localhost" })).json()).toMatchObject({ stamp: "eu-2" });
  expect(seen()).toEqual([before[0], (before[1] ?? 0) + 1]);
});

test("a router that starts from its disk without a control plane still refuses, and says where the home is", async () => {
  const first = await bed.start();
  bed.controlPlane.change(suspended("acme", 3));
  const directoryOf = async (port: number) => (await ask(port, { host: "127.0.0.1", path: "/directory" })).json();
  await eventually(async () =>
    expect(await directoryOf(first.adminPort)).toMatchObject({ durable: bed.controlPlane.head() }),
  );
  await first.close();
  for (const _ of ["from the journal", "from the snapshot"]) {
    const again = await bed.start({ controlPlane: undefined } as never);
    await eventually(async () => expect((await ask(again.listenPort)).json()).toMatchObject(problem));
    const path = "/explain?url=http%3A%2F%2Facme.localhost%2F";
    const explained = (await ask(again.adminPort, { host: "127.0.0.1", path })).json();
    expect(explained).toMatchObject({ outcome: "refuse", reason: "tenant-suspended", status: 403, home: "eu-1" });
    await again.close();
  }
});

test("GET /decide refuses as the router does", async () => {
  const loopback = { host: "127.0.0.1", port: 0 };
  const router = await bed.start({ decide: loopback } as never);
  bed.controlPlane.change(suspended("acme", 3));
  const port = router.decidePort ?? 0;
  const headers = { "x-forwarded-host": "acme.localhost", "x-forwarded-uri": "/" };
  await eventually(async () => expect((await ask(port, { path: "/decide", headers })).json()).toMatchObject(problem));
});
