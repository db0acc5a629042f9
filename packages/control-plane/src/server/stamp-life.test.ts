import { StampyardError } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { files } from "./test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";

let postgres: TestPostgres;
let server: TestServer;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock() });
  server = await startTestServer(await postgres.database(), engine);
  await server.clients.admin.apply({ body: { ...files, expectedFleetRevision: 0 } });
});
afterAll(async () => {
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

async function failureOf(promise: Promise<unknown>): Promise<StampyardError> {
  const caught = await promise.then(
    () => new Error("It was answered"),
    (error: unknown) => error,
  );
  return StampyardError.from(caught);
}

const secret = "postgres://app:hunter2@10.0.0.9/shop";
const zero = { pool: "shared", region: "anywhere", endpoints: ["http://10.0.0.7:8080", "http://[fd00::7]:81"] };

test("cordon, drain and uncordon keep who wanted what, and uncordon takes it back", async () => {
  const { operator, viewer } = server.clients;
  const params = { name: "shared-1" };
  await activateStamp(server, "shared-1");
  expect((await failureOf(viewer.stampCordon({ params, body: {} }))).code).toBe("FORBIDDEN");
  const cordoned = await operator.stampCordon({ params, body: { reason: "disk" } });
  expect(cordoned).toMatchObject({ goal: "cordoned", goalDetail: { reason: "disk" } });
  const body = { reason: "disk", deadline: "2030-01-01T00:00:00.000Z", message: "You move" };
  expect((await operator.stampDrain({ params, body })).goalDetail).toMatchObject(body);
  const open = await operator.stampUncordon({ params, body: {} });
  expect(open.goal).toBe("present");
  expect(open.goalDetail).toBeUndefined();
  expect((await failureOf(operator.stampRetry({ params, body: {} }))).code).toBe("WRONG_PHASE");
  const stale = operator.stampCordon({ params, body: {}, ifMatch: 1 });
  expect((await failureOf(stale)).code).toBe("STALE_REVISION");
});

test("adopt answers with what is lacking and what adds it, and never with a secret (I33)", async () => {
  const { admin, operator, viewer } = server.clients;
  const params = { name: "zero" };
  expect((await failureOf(operator.stampAdopt({ params, body: zero }))).code).toBe("FORBIDDEN");
  const routeKey = `ours:${Buffer.alloc(32, 9).toString("base64url")}`;
  const body = { ...zero, capacity: { tenants: 7, rps: 50 }, databaseUrl: secret, routeKey, restoreTested: true };
  const adopted = await admin.stampAdopt({ params, body });
  expect(adopted).toMatchObject({
    origin: "adopted",
    goal: "cordoned",
    region: "anywhere",
    capacity: { tenants: 7, units: { rps: 50 } },
    adoption: { hasDatabase: true, capabilities: ["guard", "restore"] },
  });
  expect(adopted.adoption?.lacking.map(({ capability }) => capability)).toEqual(["fence", "drain"]);
  const shown = await viewer.stampGet({ params });
  const audit = await admin.auditList({ query: { subject: "stamp/zero" } });
  const all = JSON.stringify([adopted, shown, audit]);
  expect(all).not.toContain("hunter2");
  expect(all).not.toContain(routeKey.slice(5));
});

test("adopt refuses what it cannot take, and a secret is not in the refusal", async () => {
  const { admin } = server.clients;
  const adopt = (over: object) => failureOf(admin.stampAdopt({ params: { name: "one" }, body: { ...zero, ...over } }));
  for (const [over, code] of [
    [{ endpoints: ["https://10.0.0.7:443"] }, "INVALID_REQUEST"],
    [{ endpoints: ["http://10.0.0.7:8080/app"] }, "INVALID_REQUEST"],
    [{ endpoints: [] }, "INVALID_REQUEST"],
    [{ pool: "nowhere" }, "POOL_NOT_FOUND"],
    [{ routeKey: "ours:hunter2" }, "INVALID_REQUEST"],
    [{ databaseUrl: "mysql://app:hunter2@10.0.0.9/shop" }, "INVALID_REQUEST"],
  ] as const) {
    const failure = await adopt(over);
    expect(failure.code, JSON.stringify(over)).toBe(code);
    expect(JSON.stringify([failure.message, failure.mend, failure.problems])).not.toContain("hunter2");
  }
  const built = await failureOf(admin.stampAdopt({ params: { name: "shared-1" }, body: zero }));
  expect(built.code).toBe("ALREADY_EXISTS");
});

test("what only its own people can do with an adopted stamp is refused with the reason (D18)", async () => {
  const { admin } = server.clients;
  const params = { name: "zero" };
  const logs = async () => {
    for await (const _ of await admin.stampLogs({ params })) break;
  };
  for (const ask of [logs, () => admin.stampDiff({ params }), () => admin.stampKeysRotate({ params })]) {
    expect(await failureOf(ask())).toMatchObject({ code: "CAPABILITY_MISSING", message: /^Stamp zero was adopted/ });
  }
});
