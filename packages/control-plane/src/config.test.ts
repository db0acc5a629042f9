import { expect, test } from "vitest";
import { readControlPlaneConfig } from "./config.ts";

const key = Buffer.alloc(32, 7).toString("base64");

test("readControlPlaneConfig() has a default for everything but the state directory", () => {
  expect(readControlPlaneConfig({ STAMPYARD_STATE: "/var/lib/stampyard/notes", DATABASE_URL: "" })).toEqual({
    stateDir: "/var/lib/stampyard/notes",
    listen: { host: "127.0.0.1", port: 4300 },
    isRestored: false,
    logLevel: "info",
  });
});

test("readControlPlaneConfig() reads addresses of either family", () => {
  const listenOf = (text: string) => readControlPlaneConfig({ STAMPYARD_STATE: "/s", STAMPYARD_LISTEN: text }).listen;
  expect(listenOf("[::1]:0")).toEqual({ host: "::1", port: 0 });
  expect(listenOf("localhost:65535")).toEqual({ host: "localhost", port: 65_535 });
  expect(listenOf("8080")).toEqual({ host: "127.0.0.1", port: 8080 });
});

test("readControlPlaneConfig() names every problem at once and no secret", () => {
  const env = {
    STAMPYARD_STATE: "relative",
    STAMPYARD_LISTEN: "127.0.0.1:99999",
    DATABASE_URL: "mysql://root:hunter2@db/x",
    STAMPYARD_MASTER_KEY: "hunter3",
    STAMPYARD_RESTORED: "yes",
    STAMPYARD_LOG_LEVEL: "loud",
    STAMPYARD_INGRESS_LOG: "access.log",
  };
  let message = "";
  try {
    readControlPlaneConfig(env);
  } catch (caught) {
    message = String(caught);
  }
  expect(message.split("\n- ")).toHaveLength(8);
  for (const name of Object.keys(env)) expect(message).toContain(name);
  expect(message).not.toMatch(/hunter/);
});

test("readControlPlaneConfig() takes a list of master keys, for their rotation", () => {
  const config = readControlPlaneConfig({
    STAMPYARD_STATE: "/s",
    STAMPYARD_MASTER_KEY: `${key},${key}`,
    STAMPYARD_RESTORED: "1",
    DATABASE_URL: "postgresql://u@h/db",
  });
  expect(config).toMatchObject({ masterKey: `${key},${key}`, isRestored: true, databaseUrl: "postgresql://u@h/db" });
});

test("readControlPlaneConfig() refuses options in DATABASE_URL, which would take the place of ours", () => {
  const env = { STAMPYARD_STATE: "/s", DATABASE_URL: "postgres://u:hunter2@db/x?options=-c%20search_path%3Dpublic" };
  expect(() => readControlPlaneConfig(env)).toThrow(/DATABASE_URL must not have options=/);
  expect(() => readControlPlaneConfig(env)).not.toThrow(/hunter2/);
});
