import { endpointNames, endpoints, openApi } from "@stampyard/api";
import { anchor, cell, code, opening, table } from "./markdown.mjs";
import { legend, typeOf } from "./schema-type.mjs";

const about = `The HTTP contract of the control plane; the same as OpenAPI 3.1: [openapi.json](openapi.json), served at
\`/v1/openapi.json\`. Every request but health carries \`Authorization: Bearer TOKEN\`; the role is the least one that may call.
\`admin\` may do what \`operator\` may, \`operator\` what \`viewer\` may; \`router\` may call its own endpoints only, and nobody else those.

- Errors are \`application/problem+json\` with a \`code\` of [errors](errors.md), and a \`mend\` where there is one.
- Lists answer \`{items, nextCursor?}\`; give \`nextCursor\` back as \`cursor\` for the next page.
- What can be changed carries a \`revision\`, also as \`ETag\`; where \`If-Match\` is listed, another revision answers \`STALE_REVISION\`.
- Where \`Idempotency-Key\` is listed, a repeat with the same key answers what the first request answered.
  Where that answer was lost with its control plane, it is refused with \`ALREADY_EXISTS\`, which names what was made. Keys are kept for 24 h.
- A field with \`?\` may be absent.`;

/** The endpoint table with every field of requests and answers. */
export function apiPage() {
  const document = openApi();
  const used = document.components.schemas;
  const operations = endpointNames.map((name) => ({
    name,
    ...endpoints[name],
    operation: operationOf(document, name),
  }));
  const index = operations.map(({ method, path, role, summary }) => [
    code(method),
    `[${code(path)}](#${anchor(headingOf(method, path))})`,
    role,
    cell(summary),
  ]);
  const parts = [
    opening("HTTP API", about),
    table(["method", "path", "role", "what"], index),
    ...operations.map(endpointPart),
    "## Schemas",
    legend("name\ntenant key\nhostname\ndigest"),
    ...Object.keys(used)
      .sort()
      .map((name) => `### ${name}\n\n${fieldsOf(used[name])}`),
  ];
  return `${parts.map((part) => part.trimEnd()).join("\n\n")}\n`;
}

function headingOf(method, path) {
  return `${method} ${path}`;
}

function operationOf(document, name) {
  for (const path of Object.values(document.paths)) {
    for (const operation of Object.values(path)) if (operation.operationId === name) return operation;
  }
  throw new Error(`OpenAPI has no operation ${name}`);
}

const link = (name) => `[${name}](#${anchor(name)})`;

function endpointPart({ method, path, role, summary, status, answers, operation }) {
  const parts = [`## ${headingOf(method, path)}`, `${summary}. Role: ${role}.`];
  const parameters = (operation.parameters ?? []).map((parameter) => [
    code(parameter.name),
    parameter.in,
    `${typeOf(parameter.schema, link)}${parameter.description === undefined ? "" : `. ${cell(parameter.description)}`}`,
    parameter.required ? "required" : presetOf(parameter.schema),
  ]);
  if (parameters.length > 0) parts.push(table(["parameter", "in", "value", "default"], parameters));
  const body = operation.requestBody?.content["application/json"].schema;
  if (body !== undefined) parts.push(`Request: ${typeOf(body, link)}.`);
  const answer = operation.responses[status].content;
  const [media, content] = Object.entries(answer ?? {})[0] ?? [];
  if (answers === "none") parts.push(`Answer: ${status}, empty.`);
  else
    parts.push(
      `Answer: ${status} ${code(media)}${content.schema === undefined ? "" : `, ${typeOf(content.schema, link)}`}.`,
    );
  return parts.map((part) => part.trimEnd()).join("\n\n");
}

function presetOf(schema) {
  return schema.default === undefined ? "" : code(JSON.stringify(schema.default));
}

function fieldsOf(schema) {
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) {
    return choices
      .map((choice) => (choice.properties === undefined ? typeOf(choice, link) : `One of:\n\n${fieldsOf(choice)}`))
      .join("\n\n");
  }
  const required = schema.required ?? [];
  const rows = Object.entries(schema.properties ?? {}).map(([name, of]) => [
    code(required.includes(name) ? name : `${name}?`),
    typeOf(of, link),
    presetOf(of),
  ]);
  if (rows.length === 0) return typeOf(schema, link);
  const withDefaults = rows.some((row) => row[2] !== "");
  return table(
    ["field", "value", ...(withDefaults ? ["default"] : [])],
    rows.map((row) => (withDefaults ? row : row.slice(0, 2))),
  );
}
