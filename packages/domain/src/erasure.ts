import { digestOf, type Json } from "./canonical.ts";
import type { Digest, Sha256 } from "./ports.ts";

/** Rows of one tenant in one table, as they were counted in the stamp. */
export interface TableCount {
  /** `schema.table`. */
  readonly table: string;
  /** Counted up to `mostCounted`. */
  readonly rows: number;
}

/** All tables of one database that have the tenant column. */
export interface DatabaseCount {
  /** The `postgres` component. */
  readonly component: string;
  readonly tables: readonly TableCount[];
}

/**
 * What was done to be rid of a tenant. `withdrawn` = nobody is sent to it any more, and of its data nothing is known: there was
 * no hook to call and no table to count. `stamp-gone` = its stamp was destroyed before, and its data with it.
 */
export type ErasureBasis = "erased" | "withdrawn" | "stamp-gone" | "never-placed";

/** What is known when a tenant is gone. */
export interface ErasureFacts {
  readonly tenant: string;
  readonly stamp?: string;
  readonly epoch: number;
  readonly basis: ErasureBasis;
  /** Whether the application was told to erase; `none` = its template declares no `tenant.onDelete`. */
  readonly hook: "called" | "none" | "not-needed";
  /** The tenant column that tables were looked for by. */
  readonly column?: string;
  readonly databases: readonly DatabaseCount[];
  /** Why no table was counted. */
  readonly unchecked?: string;
}

/** Kept in the audit when a tenant is gone: what was erased, where, and how it was checked. No personal data. */
export interface ErasureCertificate extends ErasureFacts {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Over the canonical form of all other fields. */
  readonly digest: Digest;
}

/** Enough to say that something is left; a table of a forgotten tenant may hold millions of rows. */
export const mostCounted = 1_000;

/** @param at ISO 8601, UTC */
export function certifyErasure(facts: ErasureFacts, at: string, sha256: Sha256): ErasureCertificate {
  const certificate = { ...facts, at };
  return { ...certificate, digest: certificateDigest(certificate, sha256) };
}

/** Computes the digest again, without the one that it carries. */
export function certificateDigest(certificate: object, sha256: Sha256): Digest {
  const { digest: _, ...rest } = certificate as { readonly digest?: Digest };
  return digestOf(rest as Json, sha256);
}

/** What is left of a tenant, in words; undefined = nothing. */
export function whatIsLeft(databases: readonly DatabaseCount[]): string | undefined {
  const left = databases.flatMap(({ component, tables }) =>
    tables.flatMap(({ table, rows }) => {
      if (rows === 0) return [];
      const count = rows >= mostCounted ? `${mostCounted} rows or more` : `${rows} ${rows === 1 ? "row" : "rows"}`;
      return [`${count} in ${table} of ${component}`];
    }),
  );
  if (left.length === 0) return undefined;
  const told = left.slice(0, 5).join(", ");
  return left.length > 5 ? `${told}, and in ${left.length - 5} more tables` : told;
}
