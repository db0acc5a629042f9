import type { Problem } from "../problem.ts";

/** A template without fault, for tests that put one in. */
export const goodTemplate = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
parameters:
  logLevel: { type: string, default: info }
components:
  db: { kind: postgres }
  cache: { kind: redis }
  queue: { kind: nats }
  search: { kind: external, url: "https://search:9200" }
  migrate: { kind: job, command: node migrate.js }
  api: { kind: service, command: node api.js, port: auto }
  worker: { kind: service, command: node worker.js }
ingress: { service: api }
capacity: { tenants: 10 }
tenancy: { model: rows, column: tenant_id }
`;

/** Name; text to replace in the good file; its replacement, with ‸ where the caret must stand; message; part of the mend. */
export type Row = readonly [name: string, from: string, to: string, message: string, mend: string];

export interface BadFile {
  readonly text: string;
  /** Undefined when the row does not say. */
  readonly place: Pick<Problem, "line" | "column"> | undefined;
}

/** @throws Error when the row does not fit the good file, so that no row can pass by changing nothing */
export function badFile(good: string, from: string, to: string): BadFile {
  if (good.split(from).length !== 2) throw new Error(`The text to replace stands not once in the file: ${from}`);
  const marked = good.replace(from, () => to);
  const text = marked.replace("‸", "");
  if (text === marked) return { text, place: undefined };
  const before = marked.slice(0, marked.indexOf("‸")).split("\n");
  return { text, place: { line: before.length, column: (before.at(-1) ?? "").length + 1 } };
}
