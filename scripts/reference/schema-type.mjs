import { code } from "./markdown.mjs";

/** Patterns with a name of their own; `legend` explains them once per page. */
const named = new Map([
  ["^[a-z](?:-?[a-z0-9])*$", "name"],
  ["^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$", "name"],
  ["^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$", "tenant key"],
  ["^[a-z0-9-]+(?:\\.[a-z0-9-]+)+$", "hostname"],
  ["^sha256:[0-9a-f]{64}$", "digest"],
  ["^(?:0|[1-9][0-9]{0,7})(?:ms|s|m|h)$", "duration"],
  ["^[1-9][0-9]{0,6}(?:Mi|MB|Gi|GB)$", "size"],
]);

const meanings = {
  name: "1 to 40 lower-case letters, digits and single hyphens, a letter first",
  "tenant key": "1 to 63 lower-case letters, digits and hyphens, no hyphen first or last",
  hostname: "a lower-case DNS name with at least one dot",
  digest: "`sha256:` and 64 hex digits",
  duration: "a number and `ms`, `s`, `m` or `h`",
  size: "a number and `Mi` or `Gi` (`MB` and `GB` mean the same)",
};

/** Explains the named values that a page uses. */
export function legend(text) {
  const used = Object.entries(meanings).filter(([name]) => new RegExp(`(?:^|[ |])${name}(?:[ ,;.]|$)`, "m").test(text));
  return used.map(([name, means]) => `- ${name}: ${means}`).join("\n");
}

/** What a JSON Schema allows, in a few words for a table cell. `link` names a schema that is referred to. */
export function typeOf(schema, link = (name) => code(name)) {
  if (schema.$ref !== undefined) return link(schema.$ref.split("/").at(-1));
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => code(value)).join(", ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) return choices.map((choice) => typeOf(choice, link)).join(" or ");
  switch (schema.type) {
    case "array":
      return `list of ${typeOf(schema.items ?? {}, link)}${bounds(schema.minItems, schema.maxItems, " items")}`;
    case "object":
      return objectType(schema, link);
    case "string":
      return schema.format === "date-time" ? "time (ISO 8601)" : textType(schema);
    case "integer":
      return `whole number${bounds(schema.minimum, schema.maximum)}`;
    case "number":
      return `number${bounds(schema.minimum ?? schema.exclusiveMinimum, schema.maximum)}`;
    case "boolean":
      return "true or false";
    default:
      return "anything";
  }
}

function objectType(schema, link) {
  const fields = Object.entries(schema.properties ?? {});
  if (fields.length > 0) {
    const required = schema.required ?? [];
    return `{ ${fields.map(([name, of]) => `${name}${required.includes(name) ? "" : "?"}: ${typeOf(of, link)}`).join("; ")} }`;
  }
  const values = schema.additionalProperties;
  return typeof values === "object" ? `map of names to ${typeOf(values, link)}` : "map";
}

function textType(schema) {
  const name = named.get(schema.pattern);
  if (name !== undefined) return name;
  const long = schema.maxLength === undefined || schema.maxLength >= 4_096 ? "" : `, at most ${schema.maxLength}`;
  // A pattern that only forbids NUL or names a time says nothing to a reader.
  const telling = schema.pattern !== undefined && schema.pattern.length <= 60 && !schema.pattern.includes("\\0");
  return `text${long}${telling ? `, ${code(schema.pattern)}` : ""}`;
}

function bounds(least, most, unit = "") {
  const far = (value) => value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER;
  if (far(least) && far(most)) return "";
  if (far(most)) return least === 0 ? "" : ` from ${least}${unit}`;
  if (far(least)) return ` up to ${most}${unit}`;
  return `, ${least} to ${most}${unit}`;
}
