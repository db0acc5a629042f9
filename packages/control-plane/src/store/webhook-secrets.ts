import { randomBytes } from "node:crypto";
import { StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { type MasterKeys, seal, unseal } from "./seal.ts";

/** Secrets of webhooks, each sealed by a master key for its own webhook and no other. */

export interface SealedRow extends Record<string, unknown> {
  id: string;
  master_key_id: string;
  sealed: Buffer;
}

/** What the Standard Webhooks specification writes before the base64 of a symmetric secret. */
const prefix = "whsec_";
/** It asks for 24 to 64. */
const secretBytes = 32;

const placeOf = (id: string) => `webhook/${id}/secret`;

/** `secret` is for whoever receives the messages, and shown once. */
export function makeWebhookSecret(
  masters: MasterKeys,
  id: string,
): { readonly secret: string; readonly masterKeyId: string; readonly sealed: Buffer } {
  const [master] = masters;
  const bytes = randomBytes(secretBytes);
  return { secret: textOf(bytes), masterKeyId: master.id, sealed: seal(master.bytes, placeOf(id), bytes) };
}

/** Wraps those of older master keys by the first one. Part of `rewrapSecrets`. @returns how many */
export async function rewrapWebhooks(tx: Queryable, masters: MasterKeys): Promise<number> {
  const [master] = masters;
  const { rows } = await tx.query<SealedRow>(
    "SELECT id, master_key_id, sealed FROM webhooks WHERE master_key_id <> $1 ORDER BY id FOR UPDATE",
    [master.id],
  );
  for (const row of rows) {
    const sealed = seal(master.bytes, placeOf(row.id), openBytes(masters, row));
    await tx.query("UPDATE webhooks SET master_key_id = $2, sealed = $3 WHERE id = $1", [row.id, master.id, sealed]);
  }
  return rows.length;
}

/** Of all webhooks, for a restore to see whether they open. */
export async function sealedWebhooks(tx: Queryable): Promise<readonly SealedRow[]> {
  const { rows } = await tx.query<SealedRow>("SELECT id, master_key_id, sealed FROM webhooks ORDER BY id");
  return rows;
}

/** @throws StampyardError INTERNAL when it was sealed under another master key, or for another webhook */
export function openWebhookSecret(masters: MasterKeys, row: SealedRow): string {
  return textOf(openBytes(masters, row));
}

function openBytes(masters: MasterKeys, { id, master_key_id, sealed }: SealedRow): Buffer {
  const master = masters.find((candidate) => candidate.id === master_key_id);
  if (master === undefined) {
    throw new StampyardError("INTERNAL", `The secret of webhook ${id} is sealed under master key ${master_key_id}`, {
      mend: "Give the control plane that key: secrets/master.key of its state directory, or STAMPYARD_MASTER_KEY.",
    });
  }
  return unseal(master.bytes, placeOf(id), sealed);
}

function textOf(secret: Buffer): string {
  return `${prefix}${secret.toString("base64")}`;
}
