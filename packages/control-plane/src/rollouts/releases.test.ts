import { componentsOf, type Digest } from "@stampyard/domain";
import { parseTemplate, releaseDigest, renderStamp } from "@stampyard/manifest";
import { expect, test } from "vitest";
import type { Release } from "../store/port.ts";
import { systemSha256 } from "../system-ports.ts";
import { composeRelease, isComposed } from "./compose-release.ts";
import { diffReleases } from "./diff-releases.ts";
import { placeFiles } from "./place-files.ts";

const contents: Record<string, Digest> = { "1.0.0": "sha256:aa", "2.0.0": "sha256:bb" };

function release(version: string, components: string, more = ""): Release {
  const source = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: notes, version: ${version} }
${more}components:
${components}
ingress: { service: api }
capacity: { tenants: 5 }
tenancy: { model: rows, column: tenant_id }
`;
  const parsed = parseTemplate(source, { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join("; "));
  const { template } = parsed;
  const content = contents[version] as Digest;
  const digest = releaseDigest(template, systemSha256, content);
  return { digest, version, template, source, sourceDir: "/srv", content, createdBy: "test", createdAt: 0 };
}

const one = release(
  "1.0.0",
  `  db: { kind: postgres, version: 17 }
  migrate: { kind: job, command: node migrate.js, env: { URL: "\${db.migrationUrl}" } }
  api:
    kind: service
    command: node api.js --plain
    port: auto
    env: { URL: "\${db.url}", RELEASE: "\${release.version}", API_TOKEN: verysecret }`,
);
const two = release(
  "2.0.0",
  `  db: { kind: postgres, version: 18 }
  search: { kind: redis, maxMemory: 64Mi }
  migrate: { kind: job, command: node migrate.js, env: { URL: "\${db.migrationUrl}" } }
  api:
    kind: service
    command: node api.js --fancy
    port: auto
    env: { URL: "\${db.url}", SEARCH: "\${search.url}", SIZE: "\${params.size}", API_TOKEN: othersecret }`,
  "parameters: { size: { type: string, default: m } }\n",
);

const identity = { name: "a", pool: "shared", region: "eu" };
const rendered = (of: Pick<Release, "template" | "content">) =>
  new Map(componentsOf(renderStamp(of.template, identity, {}, systemSha256, of.content)).map((one) => [one.name, one]));

test("composeRelease() takes the parts that are named, and what stays does not notice", () => {
  const composed = composeRelease(one, two, ["db"], systemSha256);
  expect(rendered(composed).get("db")).toMatchObject({ version: 18 });
  // The very same words, so its process goes on.
  expect(rendered(composed).get("api")).toEqual(rendered(one).get("api"));
  expect(composed.content).toBe(one.content);
  expect(composed.digest).not.toBe(one.digest);
  expect(composed.version).toBe("1.0.0");
  expect(composed.notes).toContain("with db of 2.0.0");
  expect(composeRelease(one, two, ["db"], systemSha256)).toEqual(composed);
  expect([isComposed(one), isComposed({ source: composed.source })]).toEqual([false, true]);
});

test("composeRelease() runs no job again for another part's sake", () => {
  const runOf = (of: Pick<Release, "template" | "content">) => {
    const job = rendered(of).get("migrate");
    return job?.kind === "job" ? job.run : undefined;
  };
  expect(runOf(composeRelease(one, two, ["db"], systemSha256))).toBe("hook");
  expect(runOf(composeRelease(one, two, ["db", "migrate"], systemSha256))).toBe("release");
});

test("composeRelease() runs a part from the files of its own release, with the parameters and parts that it needs", () => {
  const composed = composeRelease(one, two, ["api", "search"], systemSha256);
  expect(rendered(composed).get("api")).toMatchObject({ content: two.content });
  expect(rendered(composed).get("migrate")).not.toHaveProperty("content");
  expect(composed.template.parameters).toEqual(two.template.parameters);
  // Back to its own release's, there is nothing to say.
  const again = composeRelease({ ...one, ...composed }, one, ["api"], systemSha256);
  expect(rendered(again).get("api")).toEqual(rendered(one).get("api"));
});

test("placeFiles() starts a part in the files of the release that it was taken from, and leaves the others", () => {
  const composed = composeRelease(one, two, ["api", "search"], systemSha256);
  const stamp = renderStamp(composed.template, identity, {}, systemSha256, composed.content);
  const dirOf = (content: Digest) => `/state/releases/${content.slice("sha256:".length)}/content`;
  const placed = placeFiles(stamp, dirOf(contents["1.0.0"] as Digest), { dirOf });
  expect(placed.stampDigest).toBe(stamp.stampDigest);
  const [api, , migrate] = componentsOf(placed);
  expect(api).toMatchObject({ name: "api", workdir: "../../bb/content" });
  expect(api).not.toHaveProperty("content");
  expect(migrate).toMatchObject({ name: "migrate" });
  expect(migrate).not.toHaveProperty("workdir");
});

test("composeRelease() refuses parts that nobody has, and parts without what they need", () => {
  expect(() => composeRelease(one, two, ["nothing"], systemSha256)).toThrow(
    expect.objectContaining({ code: "INVALID_REQUEST", mend: "Name some of: api, db, migrate, search." }),
  );
  expect(() => composeRelease(one, two, ["api"], systemSha256)).toThrow(
    expect.objectContaining({
      code: "INVALID_REQUEST",
      message: "Component api needs search, which would not be there",
    }),
  );
});

test("diffReleases() names each part and field that differs, and shows no value that may be secret", () => {
  const changes = diffReleases(one, two);
  expect(changes.map(({ what, change }) => [what, change])).toEqual([
    ["version", "update"],
    ["content", "update"],
    ["api", "update"],
    ["db", "update"],
    ["search", "add"],
    ["parameters", "update"],
  ]);
  const linesOf = (what: string) => changes.find((change) => change.what === what)?.lines;
  expect(linesOf("db")).toEqual(["version: 17 → 18"]);
  expect(linesOf("api")).toEqual([
    "command: node api.js --plain → node api.js --fancy",
    "env.API_TOKEN: (a value) → (a value)",
    "env.RELEASE: ${release.version} → (absent)",
    "env.SEARCH: (absent) → ${search.url}",
    "env.SIZE: (absent) → ${params.size}",
  ]);
  expect(JSON.stringify(changes)).not.toMatch(/verysecret|othersecret/);
  expect(diffReleases(two, one).find(({ what }) => what === "search")).toEqual({
    what: "search",
    change: "remove",
    lines: ["kind: redis"],
  });
  expect(diffReleases(one, one)).toEqual([]);
  const sized = (size: string) => ({ ...two, parameters: { size }, capacity: { tenants: 5, units: {} } });
  expect(diffReleases(sized("m"), sized("l")).map(({ what }) => what)).toEqual(["parameters"]);
});
