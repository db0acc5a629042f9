import { jsonSchemas, referenceFields, secretReferences } from "@stampyard/manifest";
import { cell, code, opening, table } from "./markdown.mjs";
import { legend, typeOf } from "./schema-type.mjs";

const editors = (file) =>
  `Editors check it with\n\`packages/manifest/schemas/${file}\`; \`stampyard template validate\` checks more, and says what to mend.`;

/** Every field of stamp.yaml, and what references may name. */
export function templatePage() {
  const schema = jsonSchemas()["stamp-template.schema.json"];
  const about = `\`stamp.yaml\`: what one stamp is made of. ${editors("stamp-template.schema.json")}`;
  return page("stamp.yaml", about, schema, [referencesPart()]);
}

/** Every field of fleet.yaml. */
export function fleetPage() {
  const schema = jsonSchemas()["fleet.schema.json"];
  const about = `\`fleet.yaml\`: pools of stamps, and how requests name tenants. ${editors("fleet.schema.json")}`;
  return page("fleet.yaml", about, schema, []);
}

function page(title, about, schema, more) {
  const rows = [];
  const sections = [];
  walk(schema, "", { rows, sections, seen: new Map() });
  const parts = [
    opening(title, about),
    legend([...rows, ...sections.flatMap((section) => section.rows)].map((row) => row[1]).join("\n")),
    `## Fields\n\n${fieldTable(rows)}`,
    ...sections.map(({ heading, rows: own }) => `## ${heading}\n\n${fieldTable(own)}`),
    ...more,
  ];
  return `${parts.map((part) => part.trimEnd()).join("\n\n")}\n`;
}

function fieldTable(rows) {
  return table(["field", "value", "needed", "meaning"], rows);
}

/** Adds a row for each field below `schema`; a shape that came before is named and not written again. */
function walk(schema, path, to) {
  const required = schema.required ?? [];
  for (const [name, of] of Object.entries(schema.properties ?? {})) {
    const at = path === "" ? name : `${path}.${name}`;
    addField(of, at, required.includes(name), to);
  }
}

function addField(schema, path, isRequired, to) {
  const { shape, suffix } = innermost(schema);
  const kinds = discriminated(shape);
  const known = shapeKey(shape);
  const before = known === undefined ? undefined : to.seen.get(known);
  const value =
    before !== undefined || kinds !== undefined || shape.properties !== undefined ? outline(schema) : typeOf(schema);
  const also = before === undefined ? "" : `. Fields as of ${code(before)}`;
  to.rows.push([code(path), value, isRequired ? "yes" : "", `${cell(schema.description)}${also}`]);
  if (before !== undefined) return;
  const inner = `${path}${suffix}`;
  if (known !== undefined) to.seen.set(known, inner);
  if (kinds === undefined) {
    walk(shape, inner, to);
    return;
  }
  for (const { word, kind, choice } of kinds) {
    const rows = [];
    const heading = `${code(inner)} of ${word} ${kind}`;
    to.sections.push({ heading, rows });
    walk(choice, inner, { ...to, rows });
  }
}

/** What is inside maps and lists, and how a path goes on to it. */
function innermost(schema) {
  if (schema.type === "array" && schema.items !== undefined) {
    const { shape, suffix } = innermost(schema.items);
    return { shape, suffix: `[]${suffix}` };
  }
  if (schema.properties === undefined && typeof schema.additionalProperties === "object") {
    const { shape, suffix } = innermost(schema.additionalProperties);
    return { shape, suffix: `.NAME${suffix}` };
  }
  return { shape: schema, suffix: "" };
}

/** Choices that one word tells apart, such as the kind of a component. */
function discriminated(schema) {
  const choices = schema.oneOf;
  const first = choices?.[0]?.properties;
  if (first === undefined) return undefined;
  const word = Object.keys(first).find((name) =>
    choices.every((choice) => choice.properties?.[name]?.const !== undefined),
  );
  if (word === undefined) return undefined;
  return choices.map((choice) => ({ word, kind: choice.properties[word].const, choice }));
}

function shapeKey(shape) {
  if (shape.properties === undefined && shape.oneOf === undefined) return undefined;
  const { description: _, ...rest } = shape;
  return JSON.stringify(rest);
}

function outline(schema) {
  if (schema.type === "array") return "list";
  return schema.properties === undefined && typeof schema.additionalProperties === "object" ? "map by name" : "map";
}

const reservedWords = ["stamp", "route", "release", "self"];

function referencesPart() {
  const rows = Object.entries(referenceFields).map(([kind, fields]) => {
    const starts = reservedWords.includes(kind) ? kind : "NAME";
    const secret = secretReferences[kind] ?? [];
    const shown = fields.map(
      (field) => `${code(`\${${starts}.${field}}`)}${secret.includes(field) ? " (secret)" : ""}`,
    );
    return [
      reservedWords.includes(kind) ? `the word ${code(kind)}` : `a component of kind ${code(kind)}`,
      shown.join(", ") || "nothing",
    ];
  });
  rows.push(["the word `params`", "`${params.NAME}`: a parameter that this file declares"]);
  return `## References

Values of \`env\` and \`command\` may hold references; NAME is the name of a component. A component that is named starts
first. A secret never stands in a command, \`migrationUrl\` is for jobs only, and \`image\` and the \`url\` of an external
component may name \`stamp\`, \`params\` and \`release\` only. \`$\${\` is a literal \`\${\`.

${table(["named is", "references"], rows)}`;
}
