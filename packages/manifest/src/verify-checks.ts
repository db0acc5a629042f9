import { asMap } from "./outline.ts";
import { type Path, pathText } from "./problem.ts";
import type { Plain } from "./read-yaml.ts";
import type { Fault } from "./references.ts";
import { didYouMean } from "./suggest.ts";
import { parseText } from "./text.ts";

const references = ["tenant.key", "stamp.name", "stamp.region", "verify.id"];

/** Fields of the connection and of the message, and those that only a router may write. */
const ownHeaders = ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"];

export type Complain = (where: "key" | "value", path: Path, fault: Fault) => void;

/** What is wrong with `verify` beyond its shape. */
export function checkVerify(root: { readonly [key: string]: Plain }, complain: Complain): void {
  const steps = root["verify"];
  if (!Array.isArray(steps)) return;
  for (const [index, raw] of steps.entries()) checkStep(asMap(raw), ["verify", index], complain);
}

function checkStep(step: { readonly [key: string]: Plain }, path: Path, complain: Complain): void {
  const method = step["method"] ?? "GET";
  if (step["json"] !== undefined && (method === "GET" || method === "HEAD")) {
    const mend = "Use POST, PUT or PATCH, or remove json.";
    complain("key", [...path, "json"], { message: `A ${method} request has no body`, mend });
  }
  if (step["text"] !== undefined && method === "HEAD") {
    complain("key", [...path, "text"], { message: "The answer to HEAD has no text", mend: "Use GET." });
  }
  for (const name of Object.keys(asMap(step["headers"]))) {
    const lower = name.toLowerCase();
    if (!ownHeaders.includes(lower) && !lower.startsWith("stampyard-")) continue;
    const mend = "Remove it: it follows from the route of the tenant, or from the body.";
    complain("key", [...path, "headers", name], { message: `Header ${name} cannot be set`, mend });
  }
  for (const field of ["path", "headers", "json", "text"]) checkTexts(step[field], [...path, field], complain);
}

/** Every text below, however deep a body goes. */
function checkTexts(value: Plain | undefined, path: Path, complain: Complain): void {
  if (typeof value === "string") checkText(value, path, complain);
  else if (Array.isArray(value))
    for (const [index, item] of value.entries()) checkTexts(item, [...path, index], complain);
  else for (const [name, item] of Object.entries(asMap(value))) checkTexts(item, [...path, name], complain);
}

function checkText(source: string, path: Path, complain: Complain): void {
  const scan = parseText(source);
  if (scan.kind === "malformed") {
    const mend = `Write one of ${references.map((name) => `\${${name}}`).join(", ")}, or $\${ for a literal \${.`;
    complain("value", path, { message: `Malformed reference in ${pathText(path)}`, mend });
    return;
  }
  for (const { of, field } of scan.references) {
    const name = `${of}.${field}`;
    if (references.includes(name)) continue;
    const otherwise = `Use one of ${references.join(", ")}; nothing else of a stamp may be told to its own clients.`;
    const mend = didYouMean(name, references, otherwise);
    complain("value", path, { message: `Unknown reference \${${name}} in a request of verify`, mend });
  }
}
