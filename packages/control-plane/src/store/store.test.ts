import { afterAll, beforeAll } from "vitest";
import { openStore } from "./open.ts";
import { describeStore } from "./store.contract.ts";
import { schemaName } from "./migrations.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { testKeys } from "./test-store.ts";

let postgres: TestPostgres;
let url: string | undefined;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

describeStore("PostgreSQL", async () => {
  url ??= await postgres.database();
  // Quicker than a database per test.
  await run(url, `DROP SCHEMA IF EXISTS ${schemaName} CASCADE`);
  return openStore({ url, keys: testKeys });
});
