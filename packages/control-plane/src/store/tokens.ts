import { createHash, randomBytes } from "node:crypto";
import { StampyardError } from "@stampyard/domain";
import type { TokenStore } from "./port.ts";
import type { TokenRecord, TokenRole } from "./records.ts";
import { audit, numericCursor, pageLimit, pageOf, type StoreBase, write } from "./write.ts";

interface TokenRow extends Record<string, unknown> {
  id: string;
  name: string;
  role: TokenRole;
  created_at: number;
  created_by: string;
  last_used_at: number | null;
  revoked_at: number | null;
}

const columns = "id, name, role, created_at, created_by, last_used_at, revoked_at";
const pattern = /^sy_(?:admin|operator|viewer|router)_[A-Za-z0-9_-]{43}$/;

/** How the audit names whoever holds a token. */
export function actorOfToken(id: string): string {
  return `token:${id}`;
}

export function tokenStore(base: StoreBase): TokenStore {
  return {
    create: (input, ctx) =>
      write(base, ctx, async (w) => {
        // 256 random bits need no slow hash: there is nothing to guess.
        const secret = `sy_${input.role}_${randomBytes(32).toString("base64url")}`;
        const id = `tok_${randomBytes(8).toString("hex")}`;
        const revoked = input.replace
          ? await w.query("UPDATE tokens SET revoked_at = clock_timestamp() WHERE name = $1 AND revoked_at IS NULL", [
              input.name,
            ])
          : undefined;
        const { rows } = await w.query<TokenRow>(
          `INSERT INTO tokens (id, name, role, hash, created_by) VALUES ($1, $2, $3, $4, $5) RETURNING ${columns}`,
          [id, input.name, input.role, hashOf(secret), ctx.actor],
        );
        await audit(w, "token.create", `token/${id}`, {
          name: input.name,
          role: input.role,
          ...(revoked === undefined ? {} : { revoked: revoked.rowCount }),
        });
        return { record: toToken(first(rows, id)), secret };
      }),
    verify: (secret) => verify(base, secret),
    async list(page = {}) {
      const limit = pageLimit(page.limit);
      const { rows } = await base.db.query<TokenRow>(
        `SELECT ${columns} FROM tokens ORDER BY created_at, id OFFSET $1 LIMIT $2`,
        [numericCursor(page.cursor) ?? 0, limit + 1],
      );
      const offset = (numericCursor(page.cursor) ?? 0) + limit;
      return pageOf(rows.map(toToken), limit, () => String(offset));
    },
    revoke: (id, ctx) =>
      write(base, ctx, async (w) => {
        const { rows } = await w.query<TokenRow>(`SELECT ${columns} FROM tokens WHERE id = $1 FOR UPDATE`, [id]);
        const row = first(rows, id);
        if (row.revoked_at !== null) return toToken(row);
        const revoked = await w.query<TokenRow>(
          `UPDATE tokens SET revoked_at = clock_timestamp() WHERE id = $1 RETURNING ${columns}`,
          [id],
        );
        await audit(w, "token.revoke", `token/${id}`, { name: row.name, role: row.role });
        return toToken(first(revoked.rows, id));
      }),
  };
}

async function verify({ db }: StoreBase, secret: string): Promise<TokenRecord | undefined> {
  if (!pattern.test(secret)) return undefined;
  const { rows } = await db.query<TokenRow & { stale: boolean }>(
    `SELECT ${columns}, coalesce(last_used_at < clock_timestamp() - interval '1 minute', true) AS stale
     FROM tokens WHERE hash = $1 AND revoked_at IS NULL`,
    [hashOf(secret)],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  if (row.stale) await db.query("UPDATE tokens SET last_used_at = clock_timestamp() WHERE id = $1", [row.id]);
  return toToken(row);
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret, "utf8").digest();
}

function first(rows: readonly TokenRow[], id: string): TokenRow {
  const [row] = rows;
  if (row !== undefined) return row;
  throw new StampyardError("NOT_FOUND", `There is no token ${JSON.stringify(id.slice(0, 40))}`);
}

function toToken(row: TokenRow): TokenRecord {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    createdAt: row.created_at,
    createdBy: row.created_by,
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
  };
}
