import { expect, test } from "vitest";
import { readRouterConfig } from "./config.ts";

const read = (env: Record<string, string>) => readRouterConfig({ STAMPYARD_ROUTER_STATE: "/tmp/x", ...env }, 1);

test("readRouterConfig() takes regions, where others are sent, and who may ask", () => {
  const config = read({
    STAMPYARD_ROUTER_REGIONS: "eu, us",
    STAMPYARD_ROUTER_REDIRECT: "https://{tenant}.{region}.example.com:8443",
    STAMPYARD_ROUTER_DECIDE: "127.0.0.1:8082",
  });
  expect(config).toMatchObject({
    regions: ["eu", "us"],
    redirect: "https://{tenant}.{region}.example.com:8443",
    decide: { host: "127.0.0.1", port: 8082 },
  });
  expect(read({})).not.toHaveProperty("regions");
  expect(read({})).not.toHaveProperty("decide");
});

test.each([
  ["STAMPYARD_ROUTER_REGIONS", "EU", "is not a region"],
  ["STAMPYARD_ROUTER_REDIRECT", "https://{region}.example.com/path", "is not where requests can be sent"],
  ["STAMPYARD_ROUTER_REDIRECT", "javascript:alert(1)", "is not where requests can be sent"],
  ["STAMPYARD_ROUTER_REDIRECT", "https://{who}.example.com", "is not where requests can be sent"],
  ["STAMPYARD_ROUTER_REDIRECT", "https://{region}.example.com", "sends nobody elsewhere"],
  ["STAMPYARD_ROUTER_DECIDE", "0.0.0.0:8082", "is not a loopback address"],
  ["STAMPYARD_ROUTER_DECIDE", "8082", "is not host:port"],
])("readRouterConfig() refuses %s=%s", (name, value, message) => {
  const expected = [expect.objectContaining({ path: name, message: expect.stringContaining(message) })];
  expect(() => read({ [name]: value })).toThrow(
    expect.objectContaining({ problems: expect.arrayContaining(expected) }),
  );
});
