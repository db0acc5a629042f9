import { expect, test } from "vitest";
import { endpointNames, endpoints } from "./endpoints.ts";
import { openApi } from "./openapi.ts";

type Tree = { [key: string]: Tree };
const document = openApi() as Tree;

function* refsIn(value: unknown, at = "#"): Generator<{ at: string; ref: string }> {
  if (value === null || typeof value !== "object") return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === "$ref") yield { at, ref: String(inner) };
    else yield* refsIn(inner, `${at}/${key}`);
  }
}

function follow(ref: string): unknown {
  return ref
    .slice(2)
    .split("/")
    .reduce<Tree | undefined>((node, part) => node?.[part], document);
}

test("openApi() has every endpoint, with its own operation id and answer", () => {
  for (const name of endpointNames) {
    const { path, method, status } = endpoints[name];
    const operation = document["paths"]?.[path]?.[method.toLowerCase()];
    expect(operation?.["operationId"], name).toBe(name);
    expect(Object.keys(operation?.["responses"] ?? {})).toEqual([String(status), "default"]);
  }
  const count = Object.values(document["paths"] ?? {}).flatMap((item) => Object.keys(item)).length;
  expect(count).toBe(endpointNames.length);
});

test("openApi() demands a token everywhere but for health (I40)", () => {
  for (const name of endpointNames) {
    const { path, method, role } = endpoints[name];
    const operation = document["paths"]?.[path]?.[method.toLowerCase()];
    expect(operation?.["security"], name).toEqual(role === "none" ? [] : [{ token: [] }]);
  }
});

test("openApi() has no reference that leads nowhere", () => {
  const refs = [...refsIn(document)];
  expect(refs.length).toBeGreaterThan(50);
  for (const { at, ref } of refs) expect(follow(ref), `${ref} at ${at}`).toBeTypeOf("object");
});

test("openApi() is plain JSON with parameters where the paths have them", () => {
  expect(JSON.parse(JSON.stringify(document))).toEqual(document);
  const parameters = document["paths"]?.["/v1/tenants/{key}/hostnames/{hostname}"]?.["put"]?.["parameters"];
  expect(parameters).toMatchObject([
    { name: "key", in: "path", required: true },
    { name: "hostname", in: "path", required: true },
    { name: "If-Match", in: "header" },
  ]);
  const query = document["paths"]?.["/v1/stamps/{name}"]?.["delete"]?.["parameters"] as unknown as Tree[];
  expect(query.find((parameter) => String(parameter["name"]) === "force")?.["schema"]).toMatchObject({
    type: "boolean",
  });
});
