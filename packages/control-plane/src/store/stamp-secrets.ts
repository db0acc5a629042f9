import { randomBytes } from "node:crypto";
import { StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { RotationFollowed } from "./port.ts";
import type { RotationStep, StampRouteKey, WriteContext } from "./records.ts";
import { makeDataKey, type MasterKeys, seal, unseal, unwrapDataKey, wrapDataKey } from "./seal.ts";
import { lockStamp } from "./stamp-rows.ts";
import { rewrapWebhooks } from "./webhook-secrets.ts";
import { audit, type StoreBase, type Write, write } from "./write.ts";

export interface Sealer extends StoreBase {
  readonly masters: MasterKeys;
}

/** Channel on which other processes of this store learn of route keys. */
export const keysChannel = "stampyard_control_keys";

interface KeyRow extends Record<string, unknown> {
  stamp: string;
  master_key_id: string;
  wrapped: Buffer;
}

const secretPlace = (stamp: string, name: string) => `stamp/${stamp}/secret/${name}`;
const routeKeyPlace = (stamp: string, kid: string) => `stamp/${stamp}/route-key/${kid}`;

/** Data key, secrets and first route key of a new stamp. Part of the transaction that makes it. */
export async function sealNewStamp(
  tx: Queryable,
  masters: MasterKeys,
  stamp: string,
  secrets: Readonly<Record<string, string>>,
  routeKey?: GivenRouteKey,
): Promise<void> {
  const { key, masterKeyId, wrapped } = makeDataKey(masters, stamp);
  await tx.query("INSERT INTO stamp_keys (stamp, master_key_id, wrapped) VALUES ($1, $2, $3)", [
    stamp,
    masterKeyId,
    wrapped,
  ]);
  await sealSecrets(tx, key, stamp, secrets);
  await insertRouteKey(tx, key, stamp, "current", routeKey);
}

/** Of an application that was there before us: it verifies with a key that its people made. */
export interface GivenRouteKey {
  readonly kid: string;
  /** 32 bytes as base64url. */
  readonly secret: string;
}

/** Routers hear of it at once, and sign with it. */
export async function replaceRouteKey(
  w: Write,
  masters: MasterKeys,
  stamp: string,
  routeKey: GivenRouteKey,
): Promise<void> {
  const key = await dataKey(w, masters, stamp);
  await w.query("DELETE FROM stamp_route_keys WHERE stamp = $1", [stamp]);
  await insertRouteKey(w, key, stamp, "current", routeKey);
  await w.query("SELECT pg_notify($1, $2)", [keysChannel, stamp]);
  w.tell({ kind: "keys", stamp });
}

/** Adds what has no value yet; an existing secret is in use by a running stamp and stays. */
export async function sealMissing(
  tx: Queryable,
  masters: MasterKeys,
  stamp: string,
  secrets: Readonly<Record<string, string>>,
): Promise<void> {
  if (Object.keys(secrets).length === 0) return;
  await sealSecrets(tx, await dataKey(tx, masters, stamp), stamp, secrets);
}

/** For a secret that a person gave and gives again; one that we made is never replaced. */
export async function replaceSecret(
  tx: Queryable,
  masters: MasterKeys,
  stamp: string,
  name: string,
  value: string,
): Promise<void> {
  const key = await dataKey(tx, masters, stamp);
  await tx.query("DELETE FROM stamp_secrets WHERE stamp = $1 AND name = $2", [stamp, name]);
  await sealSecrets(tx, key, stamp, { [name]: value });
}

export async function openSecrets(base: Sealer, stamp: string): Promise<Readonly<Record<string, string>>> {
  const key = await dataKey(base.db, base.masters, stamp);
  const { rows } = await base.db.query<{ name: string; sealed: Buffer }>(
    "SELECT name, sealed FROM stamp_secrets WHERE stamp = $1 ORDER BY name",
    [stamp],
  );
  return Object.fromEntries(
    rows.map(({ name, sealed }) => [name, unseal(key, secretPlace(stamp, name), sealed).toString("utf8")]),
  );
}

/** Of one stamp, or of all. */
export async function openRouteKeys(
  base: Sealer,
  stamp: string | undefined,
): Promise<ReadonlyMap<string, readonly StampRouteKey[]>> {
  const { rows } = await base.db.query<KeyRow & { kid: string; sealed: Buffer; state: StampRouteKey["state"] }>(
    `SELECT r.stamp, r.kid, r.sealed, r.state, k.master_key_id, k.wrapped
     FROM stamp_route_keys r JOIN stamp_keys k USING (stamp) WHERE $1::text IS NULL OR r.stamp = $1
     ORDER BY r.stamp, array_position(ARRAY['current', 'next', 'old'], r.state)`,
    [stamp ?? null],
  );
  const all = new Map<string, StampRouteKey[]>();
  for (const row of rows) {
    const key = unwrapDataKey(base.masters, row.stamp, { masterKeyId: row.master_key_id, wrapped: row.wrapped });
    const secret = unseal(key, routeKeyPlace(row.stamp, row.kid), row.sealed).toString("base64url");
    const keys = all.get(row.stamp) ?? [];
    keys.push({ kid: row.kid, secret, state: row.state });
    all.set(row.stamp, keys);
  }
  return all;
}

/**
 * One step of a rotation (decision D7). The stamp must know a key before routers sign with it, and routers must have
 * left the old one before the stamp forgets it: until then the step is refused.
 */
export function rotateRouteKeys(
  base: Sealer,
  stamp: string,
  ctx: WriteContext,
  { accepted, dropAfterMs }: RotationFollowed,
): Promise<RotationStep> {
  return write(base, ctx, async (w) => {
    await lockStamp(w, stamp);
    const { rows } = await w.query<{ kid: string; state: string }>(
      "SELECT kid, state FROM stamp_route_keys WHERE stamp = $1",
      [stamp],
    );
    const states = new Set(rows.map((row) => row.state));
    let step: RotationStep;
    if (states.has("old")) {
      await requireTimePassed(w, stamp, dropAfterMs);
      step = "dropped";
      await w.query("DELETE FROM stamp_route_keys WHERE stamp = $1 AND state = 'old'", [stamp]);
    } else if (states.has("next")) {
      requireAccepted(stamp, rows, accepted);
      step = "promoted";
      await w.query("UPDATE stamp_route_keys SET state = 'old' WHERE stamp = $1 AND state = 'current'", [stamp]);
      await w.query("UPDATE stamp_route_keys SET state = 'current' WHERE stamp = $1 AND state = 'next'", [stamp]);
    } else {
      step = "added";
      await insertRouteKey(w, await dataKey(w, base.masters, stamp), stamp, "next");
    }
    await audit(w, rotateAction, `stamp/${stamp}`, { step, before: rows.map((row) => row.kid) });
    await w.query("SELECT pg_notify($1, $2)", [keysChannel, stamp]);
    w.tell({ kind: "keys", stamp });
    return step;
  });
}

const rotateAction = "stamp.rotate-route-keys";

function requireAccepted(stamp: string, keys: readonly { kid: string }[], accepted: ReadonlySet<string>): void {
  const missing = keys.find(({ kid }) => !accepted.has(kid));
  if (missing === undefined) return;
  throw new StampyardError("WRONG_PHASE", `Stamp ${stamp} does not accept key ${missing.kid} yet`, {
    mend: "Repeat this step in a moment; stampyard stamp show says what the stamp waits for.",
  });
}

/** The audit row of the promotion says when it was: nothing else of a rotation needs a time. */
async function requireTimePassed(w: Queryable, stamp: string, dropAfterMs: number): Promise<void> {
  const { rows } = await w.query<{ left: number | null }>(
    `SELECT $3::float8 - extract(epoch FROM clock_timestamp() - max(at)) * 1000 AS left
     FROM audit WHERE subject = $1 AND action = $2`,
    [`stamp/${stamp}`, rotateAction, dropAfterMs],
  );
  const left = rows[0]?.left ?? 0;
  if (left <= 0) return;
  const seconds = Math.ceil(left / 1_000);
  throw new StampyardError("WRONG_PHASE", `Routers may still sign with the old key of stamp ${stamp}`, {
    mend: `Repeat this step in ${seconds} s: by then every live router has the new key, and no old header is valid.`,
  });
}

/** Wraps every data key by the first master key. Secrets are not touched, so it is quick. @returns keys changed, with those of webhooks */
export function rewrapDataKeys(base: Sealer, ctx: WriteContext): Promise<number> {
  return write(base, ctx, async (w) => {
    const [master] = base.masters;
    const { rows } = await w.query<KeyRow>(
      "SELECT stamp, master_key_id, wrapped FROM stamp_keys WHERE master_key_id <> $1 ORDER BY stamp FOR UPDATE",
      [master.id],
    );
    for (const row of rows) {
      const key = unwrapDataKey(base.masters, row.stamp, { masterKeyId: row.master_key_id, wrapped: row.wrapped });
      const { masterKeyId, wrapped } = wrapDataKey(base.masters, row.stamp, key);
      await w.query("UPDATE stamp_keys SET master_key_id = $2, wrapped = $3 WHERE stamp = $1", [
        row.stamp,
        masterKeyId,
        wrapped,
      ]);
    }
    const webhooks = await rewrapWebhooks(w, base.masters);
    const rewrapped = rows.length + webhooks;
    if (rewrapped > 0) {
      await audit(w, "secrets.rewrap", "secrets", { stamps: rows.length, webhooks, masterKeyId: master.id });
    }
    return rewrapped;
  });
}

async function dataKey(tx: Queryable, masters: MasterKeys, stamp: string): Promise<Buffer> {
  const { rows } = await tx.query<KeyRow>("SELECT stamp, master_key_id, wrapped FROM stamp_keys WHERE stamp = $1", [
    stamp,
  ]);
  const [row] = rows;
  if (row === undefined) throw new StampyardError("STAMP_NOT_FOUND", `Stamp ${stamp} has no secrets in the store`);
  return unwrapDataKey(masters, stamp, { masterKeyId: row.master_key_id, wrapped: row.wrapped });
}

async function sealSecrets(
  tx: Queryable,
  key: Uint8Array,
  stamp: string,
  secrets: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, value] of Object.entries(secrets)) {
    await tx.query("INSERT INTO stamp_secrets (stamp, name, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", [
      stamp,
      name,
      seal(key, secretPlace(stamp, name), Buffer.from(value, "utf8")),
    ]);
  }
}

async function insertRouteKey(
  tx: Queryable,
  key: Uint8Array,
  stamp: string,
  state: string,
  given?: GivenRouteKey,
): Promise<void> {
  const kid = given?.kid ?? `k${randomBytes(6).toString("hex")}`;
  const secret = given === undefined ? randomBytes(32) : Buffer.from(given.secret, "base64url");
  await tx.query("INSERT INTO stamp_route_keys (stamp, kid, sealed, state) VALUES ($1, $2, $3, $4)", [
    stamp,
    kid,
    seal(key, routeKeyPlace(stamp, kid), secret),
    state,
  ]);
}
