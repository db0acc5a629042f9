import { z } from "zod";
import { endpointNames, endpoints } from "./endpoints.ts";
import type { Endpoint } from "./endpoint.ts";
import { problemSchema } from "./schemas/problem.ts";
import { queryFlag } from "./schemas/values.ts";

type Schema = { [key: string]: unknown };

const mediaTypes = {
  json: "application/json",
  lines: "text/plain; charset=utf-8",
  events: "text/event-stream",
  frames: "application/vnd.stampyard.feed",
  file: "application/octet-stream",
} as const;

/** The endpoint table as an OpenAPI 3.1 document; named schemas are shared under `components`. */
export function openApi(version = "0.1.0"): Schema {
  const shared: Record<string, unknown> = {};
  const paths: Record<string, Record<string, unknown>> = {};
  for (const name of endpointNames) {
    const endpoint: Endpoint = endpoints[name];
    const item = paths[endpoint.path] ?? {};
    item[endpoint.method.toLowerCase()] = operation(name, endpoint, shared);
    paths[endpoint.path] = item;
  }
  const problem = toSchema(problemSchema, "output", shared);
  return {
    openapi: "3.1.0",
    info: { title: "Stampyard control plane", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
    components: {
      schemas: shared,
      responses: {
        Problem: {
          description: "What went wrong, and the mend",
          content: { "application/problem+json": { schema: problem } },
        },
      },
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "A token of a role that covers `x-role`" },
      },
    },
  };
}

function operation(name: string, endpoint: Endpoint, shared: Record<string, unknown>): Schema {
  const parameters = [
    ...parametersOf("path", endpoint.params, shared),
    ...parametersOf("query", endpoint.query, shared),
    ...headersOf(endpoint),
  ];
  return {
    operationId: name,
    summary: endpoint.summary,
    "x-role": endpoint.role,
    security: endpoint.role === "none" ? [] : [{ token: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(endpoint.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { "application/json": { schema: toSchema(endpoint.body, "input", shared) } },
          },
        }),
    responses: {
      [endpoint.status]: {
        description: endpoint.summary,
        ...(endpoint.answers === "none"
          ? {}
          : { content: { [mediaTypes[endpoint.answers]]: answerOf(endpoint, shared) } }),
      },
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

function answerOf(endpoint: Endpoint, shared: Record<string, unknown>): Schema {
  if (endpoint.response === undefined) return {};
  return { schema: toSchema(endpoint.response, "output", shared) };
}

function parametersOf(where: "path" | "query", of: z.ZodObject | undefined, shared: Record<string, unknown>): Schema[] {
  if (of === undefined) return [];
  const schema = toSchema(of, "input", shared);
  const required = (schema["required"] ?? []) as readonly string[];
  return Object.entries(schema["properties"] as Record<string, unknown>).map(([name, value]) => ({
    name,
    in: where,
    required: where === "path" || required.includes(name),
    schema: value,
  }));
}

function headersOf(endpoint: Endpoint): Schema[] {
  const headers: Schema[] = [];
  const header = (name: string, description: string) => {
    headers.push({ name, in: "header", required: false, description, schema: { type: "string" } });
  };
  if (endpoint.idempotencyKey) header("Idempotency-Key", "A repeat with the same key answers what the first answered");
  if (endpoint.ifMatch) header("If-Match", "Revision in quotes; another one is STALE_REVISION");
  return headers;
}

/** JSON Schema of one value; what has an `id` moves to `shared` and is referred to. */
function toSchema(of: z.ZodType, io: "input" | "output", shared: Record<string, unknown>): Schema {
  const made = z.toJSONSchema(of, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      // To the reader of a document a flag is a boolean; that a URL spells it as a word is the URL's business.
      if (zodSchema === (queryFlag as unknown)) {
        for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Schema)[key];
        jsonSchema.type = "boolean";
      }
    },
  }) as Schema;
  const id = made["id"];
  const { $schema: _dialect, $defs: defs, id: _id, ...rest } = made;
  for (const [name, schema] of Object.entries((defs ?? {}) as Record<string, Schema>)) {
    const { id: _inner, ...body } = schema;
    shared[name] = pointToShared(body);
  }
  const pointed = pointToShared(rest) as Schema;
  if (typeof id !== "string") return pointed;
  shared[id] = pointed;
  return { $ref: `#/components/schemas/${id}` };
}

function pointToShared(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pointToShared);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "$ref" && typeof inner === "string"
        ? inner.replace("#/$defs/", "#/components/schemas/")
        : pointToShared(inner),
    ]),
  );
}
