import type { Digest, Template } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Contents } from "../rollouts/content.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { finish } from "../store/test-rollouts.ts";
import { files } from "./test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";

let postgres: TestPostgres;
let server: TestServer;
const filesOf = async ({ version }: Template): Promise<Digest> =>
  `sha256:${version.replaceAll(".", "").padEnd(64, "0")}`;
const gone = new Set<Digest>();
const contents: Contents = {
  digest: filesOf,
  keep: filesOf,
  dirOf: (content) => content,
  hold: async (content) => !gone.has(content),
  has: (content) => !gone.has(content),
  prune: async () => [],
};
beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock(Date.now()) });
  server = await startTestServer(await postgres.database(), engine, {}, { contents });
}, 60_000);
afterAll(async () => {
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

test("a release whose files were removed is shown as such, and neither rolled out nor gone back to (I37)", async () => {
  const { admin, operator } = server.clients;
  const second = { ...files, templateYaml: files.templateYaml.replace("1.0.0", "2.0.0") };
  await admin.apply({ body: files });
  for (const stamp of ["shared-1", "shared-2"]) await activateStamp(server, stamp);
  const { rollout: id = "" } = await admin.apply({ body: second });
  await finish(server.store, server.ctx, id);
  const first = (await admin.releaseList({})).items.find(({ version }) => version === "1.0.0");
  if (first?.content === undefined) throw new Error("The first release has no files");

  gone.add(first.content as Digest);
  const kept = async () => (await admin.releaseList({})).items.map((release) => [release.version, release.kept]);
  expect(await kept()).toEqual([
    ["2.0.0", true],
    ["1.0.0", false],
  ]);
  const back = { release: first.digest };
  const refused = { code: "RELEASE_NOT_FOUND", message: expect.stringContaining("are not kept any more") };
  for (const dryRun of [true, false]) {
    await expect(operator.rolloutStart({ query: { dryRun }, body: back })).rejects.toMatchObject(refused);
  }
  const undo = () => operator.rolloutUndo({ params: { id }, body: {} });
  await expect(undo()).rejects.toMatchObject(refused);
  gone.clear();
  expect(await undo()).toMatchObject({ undoes: id });
});
