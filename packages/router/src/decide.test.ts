import { createDirectory, type Directory } from "@stampyard/directory";
import { type Routing, suspendedHome } from "@stampyard/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, type RequestFacts } from "./decide.ts";

const full: Routing = {
  domains: ["localhost", "notes.example.com"],
  path: { prefix: "/t", strip: false },
  header: { name: "x-tenant", trustedPeers: ["10.0.0.0/8"] },
};

function tableOf(routing: Routing = full): Directory {
  const table = createDirectory();
  table.apply({ kind: "routing-put", routing });
  for (const stamp of ["eu-1", "eu-2"]) {
    table.apply({
      kind: "stamp-put",
      stamp,
      pool: "p",
      region: "r",
      endpoints: [{ host: "127.0.0.1", port: 1 }],
      endpointRevision: 1,
    });
  }
  table.apply({ kind: "tenant-put", tenant: "acme", stamp: "eu-1", epoch: 3, hostnames: ["notes.acme.com"] });
  table.apply({
    kind: "tenant-put",
    tenant: "globex",
    stamp: "eu-2",
    epoch: 1,
    hostnames: ["globex.notes.example.com"],
  });
  table.apply({
    kind: "tenant-put",
    tenant: "stopped",
    stamp: suspendedHome,
    epoch: 2,
    hostnames: ["stopped.example"],
  });
  table.apply({ kind: "tenant-put", tenant: "lost", stamp: "gone", epoch: 1, hostnames: [] });
  return table;
}

const table = tableOf();
const facts = (more: Partial<RequestFacts>): RequestFacts => ({
  host: "other.example.org",
  path: "/",
  header: undefined,
  peerTrusted: false,
  alias: undefined,
  country: undefined,
  client: "203.0.113.7",
  nowMs: 0,
  ...more,
});
const outcome = (more: Partial<RequestFacts>, directory = table) => {
  const decision = decide(directory, facts(more));
  return decision.kind === "forward"
    ? `${decision.rule} ${decision.tenant}@${decision.stamp}#${decision.epoch} ${decision.path}`
    : decision.reason;
};

describe("decide()", () => {
  test.each<[string, Partial<RequestFacts>, string]>([
    ["subdomain", { host: "acme.localhost", path: "/x" }, "subdomain acme@eu-1#3 /x"],
    ["second domain", { host: "acme.notes.example.com" }, "subdomain acme@eu-1#3 /"],
    ["hostname", { host: "notes.acme.com" }, "hostname acme@eu-1#3 /"],
    ["hostname below a domain, agreeing", { host: "globex.notes.example.com" }, "subdomain globex@eu-2#1 /"],
    ["path", { path: "/t/globex/a" }, "path globex@eu-2#1 /t/globex/a"],
    ["path without end slash", { path: "/t/globex" }, "path globex@eu-2#1 /t/globex"],
    ["header of a trusted peer", { header: "globex", peerTrusted: true }, "header globex@eu-2#1 /"],
    ["header of anybody", { header: "globex" }, "no-tenant"],
    ["no carrier", {}, "no-tenant"],
    ["domain itself", { host: "localhost" }, "no-tenant"],
    ["two labels", { host: "a.acme.localhost" }, "no-tenant"],
    ["domain as a suffix only", { host: "acme.notlocalhost" }, "no-tenant"],
    ["unknown", { host: "nobody.localhost" }, "unknown-tenant"],
    ["prefix as part of a segment", { path: "/tx/acme" }, "no-tenant"],
    ["other case of the prefix", { path: "/T/acme" }, "no-tenant"],
    ["empty segment", { path: "/t//acme" }, "no-tenant"],
    ["escaped segment", { path: "/t/%61cme/" }, "malformed-path"],
    ["dot segment", { path: "/t/../acme" }, "malformed-path"],
    ["one dot", { path: "/t/./acme" }, "malformed-path"],
    ["backslash", { path: "/t/acme\\..\\globex" }, "malformed-path"],
    ["path parameter", { path: "/t/acme;x=1/" }, "malformed-path"],
    ["two carriers, agreeing", { host: "acme.localhost", path: "/t/acme/" }, "subdomain acme@eu-1#3 /t/acme/"],
    ["two carriers, not agreeing", { host: "acme.localhost", path: "/t/globex/" }, "conflicting-carriers"],
    ["second carrier unknown", { host: "acme.localhost", path: "/t/nobody/" }, "conflicting-carriers"],
    ["first carrier unknown", { host: "nobody.localhost", path: "/t/acme/" }, "conflicting-carriers"],
    ["header against host", { host: "acme.localhost", header: "globex", peerTrusted: true }, "conflicting-carriers"],
    ["header that is no key", { header: "Acme", peerTrusted: true }, "malformed-header"],
    ["suspended", { host: "stopped.localhost" }, "tenant-suspended"],
    ["suspended, by its own hostname", { host: "stopped.example" }, "tenant-suspended"],
    ["suspended, against another carrier", { host: "stopped.localhost", path: "/t/acme/" }, "conflicting-carriers"],
    ["home that is not there", { host: "lost.localhost" }, "no-endpoint"],
  ])("%s", (_, request, expected) => {
    expect(outcome(request)).toBe(expected);
  });

  test("strips prefix and tenant when asked, and only when the path decided (D21)", () => {
    const stripping = tableOf({ ...full, path: { prefix: "/t", strip: true } });
    expect(outcome({ path: "/t/acme/a//b/../c%2Fd" }, stripping)).toBe("path acme@eu-1#3 /a//b/../c%2Fd");
    expect(outcome({ path: "/t/acme" }, stripping)).toBe("path acme@eu-1#3 /");
    expect(outcome({ host: "acme.localhost", path: "/t/acme/a" }, stripping)).toBe("subdomain acme@eu-1#3 /t/acme/a");
  });

  test("an empty directory sends nothing anywhere", () => {
    expect(outcome({ host: "acme.localhost", header: "acme", peerTrusted: true }, createDirectory())).toBe("no-tenant");
  });

  test("forwards only to the home of a tenant that every carrier names (I4, I5)", () => {
    const word = fc.constantFrom("acme", "globex", "lost", "stopped", "nobody", "ACME", "a.b", "", "..", "%61cme");
    const arbitrary = fc.record({
      host: fc.oneof(
        word.map((w) => `${w}.localhost`),
        word,
        fc.constant("notes.acme.com"),
      ),
      path: fc.oneof(
        word.map((w) => `/t/${w}/x`),
        word.map((w) => `/${w}`),
      ),
      header: fc.option(word, { nil: undefined }),
      peerTrusted: fc.boolean(),
    });
    fc.assert(
      fc.property(arbitrary, (request) => {
        const decision = decide(table, facts(request));
        if (decision.kind === "refuse" || decision.tenant === undefined) return;
        expect(table.lookupTenant(decision.tenant)).toMatchObject({ stamp: decision.stamp, epoch: decision.epoch });
        const named = [
          /^([a-z0-9]+)\.localhost$/.exec(request.host)?.[1],
          request.host === "notes.acme.com" ? "acme" : undefined,
          /^\/t\/([^/]+)/.exec(request.path)?.[1],
          request.peerTrusted ? request.header : undefined,
        ].filter((name) => name !== undefined);
        expect(new Set(named)).toEqual(new Set([decision.tenant]));
      }),
      { numRuns: 2_000 },
    );
  });
});
