import { StampyardError } from "@stampyard/domain";

/** One connection to a stamp's database; a node-postgres client has this shape. Values are bound, never spliced. */
export interface SqlClient {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: Record<string, unknown>[]; rowCount: number | null }>;
}

/** A table as PostgreSQL names it, unquoted. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** Longest name that PostgreSQL keeps, in bytes (NAMEDATALEN - 1); longer ones are cut, and two may then be one. */
const longestIdentifier = 63;

/** `"name"`, so that any name is one identifier. @throws StampyardError INVALID_NAME */
export function identifier(name: string): string {
  if (name === "" || name.includes("\0") || new TextEncoder().encode(name).length > longestIdentifier) {
    throw new StampyardError("INVALID_NAME", `PostgreSQL cannot name anything ${JSON.stringify(name)}`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

export function qualified({ schema, table }: TableName): string {
  return `${identifier(schema)}.${identifier(table)}`;
}

/** `'text'` for statements that take no bound values, such as CREATE TRIGGER. Standard strings are assumed and checked. */
export function literal(text: string): string {
  if (text.includes("\0")) throw new StampyardError("INVALID_NAME", "A text with a NUL byte cannot be in a statement");
  return text.includes("\\") ? `E'${escaped(text).replaceAll("\\", "\\\\")}'` : `'${escaped(text)}'`;
}

function escaped(text: string): string {
  return text.replaceAll("'", "''");
}

/** Five characters such as `55P03`, or undefined when the error is not the server's. */
export function sqlStateOf(caught: unknown): string | undefined {
  const code = caught instanceof Error && "code" in caught ? caught.code : undefined;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
