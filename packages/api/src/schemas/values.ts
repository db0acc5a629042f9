import { isAlias, isName, isTenantKey, quote } from "@stampyard/domain";
import { z } from "zod";

/** A name that fails keeps its own code and mend on the wire; the server reads them from `params`. */
function named(what: string, holds: (text: string) => boolean, maxLength: number, pattern: string, mend: string) {
  const params = { code: "INVALID_NAME", mend };
  return z
    .string()
    .refine(holds, { error: ({ input }) => `Invalid ${what} ${quote(String(input))}`, params })
    .meta({ pattern, maxLength });
}

export const nameSchema = named(
  "name",
  isName,
  40,
  "^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$",
  "Use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter.",
);

export const tenantKeySchema = named(
  "tenant key",
  isTenantKey,
  63,
  "^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
  "Use 1 to 63 lower-case letters, digits and hyphens; no hyphen first or last (it becomes a subdomain).",
);

/** A hostname, or another unique key of a tenant as `kind:value`: both are looked up alike. */
export const hostnameSchema = named(
  "hostname",
  isAlias,
  253,
  "^(?:[a-z0-9-]+(?:\\.[a-z0-9-]+)+|[a-z0-9-]+:[A-Za-z0-9_-]+)$",
  "Use a lower-case DNS name such as notes.acme.com, without port, scheme or trailing dot; or an alias such as api-key:ak_4f2c.",
);

export const digestSchema = z.templateLiteral(["sha256:", z.string().regex(/^[0-9a-f]{64}$/)]);

/** 64 lower-case hex characters: a value of the directory's or the audit's chain. */
export const chainSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** A time on the wire: ISO 8601 in UTC. */
export const timeSchema = z.iso.datetime();

/** Rises with every change of a resource; the ETag is this number in quotes. */
export const revisionSchema = z.number().int().min(0);

/** A whole number in a query. */
export function queryInt(min: number, max: number) {
  return z.coerce.number<number>().int().min(min).max(max);
}

/** A yes or no in a query: `true` or `false`, nothing else. */
export const queryFlag = z.union([
  z.boolean(),
  z.literal("true").transform(() => true),
  z.literal("false").transform(() => false),
]);

export const pageQuery = {
  /** How many items at most. */
  limit: queryInt(1, 500).default(100),
  /** `nextCursor` of the page before; absent for the first. Its content is no contract. */
  cursor: z.string().min(1).max(512).optional(),
};

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextCursor: z.string().optional() });
}

/** Why somebody did it, kept in the audit; control characters would forge lines of a log. */
export const reasonSchema = z
  .string()
  .max(500)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  .regex(/^[^\u0000-\u001f\u007f]*$/, { error: "No control characters" });

export const parametersSchema = z.record(
  z.string().max(100),
  z.union([z.string().max(4_096), z.number(), z.boolean()]),
);

/** Units that one thing takes or holds: `tenants`, and free names such as `rps` or `gib`. */
export const unitsSchema = z.record(nameSchema, z.number().min(0).max(1e15));

export const capacitySchema = z.object({ tenants: z.number(), units: z.record(z.string(), z.number()) });
