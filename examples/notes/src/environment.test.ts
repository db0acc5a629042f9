import { expect, test } from "vitest";
import { readEnvironment } from "./environment.ts";

test("readEnvironment() gives what was asked for", () => {
  const source = { DATABASE_URL: "postgresql://db", PORT: "0", OTHER: "x" };
  expect(readEnvironment(source, ["databaseUrl", "port"])).toEqual({ databaseUrl: "postgresql://db", port: 0 });
});

test("readEnvironment() names every problem at once and no value", () => {
  const read = () => readEnvironment({ DATABASE_URL: "", PORT: "70000-secret" }, ["databaseUrl", "stamp", "port"]);
  expect(read).toThrow(/DATABASE_URL is not set\n- STAMP is not set\n- PORT must be a port number/);
  expect(read).not.toThrow(/secret/);
});
