import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { StampyardError } from "@stampyard/domain";

/** AES-256-GCM (NIST SP 800-38D): 96-bit random nonce, 128-bit tag. Layout: form (1), nonce, tag, ciphertext. */
const cipher = "aes-256-gcm";
const form = 1;
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;

export interface MasterKey {
  /** Says which key wrapped a row, without saying anything about the key. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** The first wraps what is new; all of them unwrap, so that a master key can be changed. */
export type MasterKeys = readonly [MasterKey, ...MasterKey[]];

/** @throws StampyardError INVALID_REQUEST; the message never holds the key */
export function makeMasterKey(bytes: Uint8Array): MasterKey {
  if (bytes.length !== keyBytes) {
    throw new StampyardError("INVALID_REQUEST", `The master key has ${bytes.length} bytes, not ${keyBytes}`);
  }
  const id = createHash("sha256").update("stampyard master key id\n").update(bytes).digest("hex").slice(0, 16);
  return { id, bytes };
}

/**
 * Seals for one place: `place` is authenticated and not kept, so a sealed value that is moved to another row, name or
 * stamp does not open.
 */
export function seal(key: Uint8Array, place: string, plain: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes);
  const gcm = createCipheriv(cipher, key, nonce);
  gcm.setAAD(Buffer.from(place, "utf8"));
  const body = Buffer.concat([gcm.update(plain), gcm.final()]);
  return Buffer.concat([Buffer.from([form]), nonce, gcm.getAuthTag(), body]);
}

/** @throws StampyardError INTERNAL when key, place or bytes are not those of the sealing */
export function unseal(key: Uint8Array, place: string, sealed: Uint8Array): Buffer {
  try {
    if (sealed[0] !== form || sealed.length < 1 + nonceBytes + tagBytes) throw new RangeError("Not a sealed value");
    const nonce = sealed.subarray(1, 1 + nonceBytes);
    const gcm = createDecipheriv(cipher, key, nonce, { authTagLength: tagBytes });
    gcm.setAAD(Buffer.from(place, "utf8"));
    gcm.setAuthTag(sealed.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes));
    return Buffer.concat([gcm.update(sealed.subarray(1 + nonceBytes + tagBytes)), gcm.final()]);
  } catch (cause) {
    throw new StampyardError("INTERNAL", `The secret at ${place} does not open`, {
      cause,
      mend: "Its row was changed, or it was sealed under another master key.",
    });
  }
}

/** A stamp's data key, as it is kept. */
export interface WrappedKey {
  readonly masterKeyId: string;
  readonly wrapped: Buffer;
}

export function makeDataKey(masters: MasterKeys, stamp: string): { readonly key: Buffer } & WrappedKey {
  const key = randomBytes(keyBytes);
  return { key, ...wrapDataKey(masters, stamp, key) };
}

export function wrapDataKey(masters: MasterKeys, stamp: string, key: Uint8Array): WrappedKey {
  const [master] = masters;
  return { masterKeyId: master.id, wrapped: seal(master.bytes, dataKeyPlace(stamp), key) };
}

/** @throws StampyardError INTERNAL when its master key is not among those given */
export function unwrapDataKey(masters: MasterKeys, stamp: string, { masterKeyId, wrapped }: WrappedKey): Buffer {
  const master = masters.find((candidate) => candidate.id === masterKeyId);
  if (master === undefined) {
    throw new StampyardError("INTERNAL", `Secrets of stamp ${stamp} are sealed under master key ${masterKeyId}`, {
      mend: "Give the control plane that key: secrets/master.key of its state directory, or STAMPYARD_MASTER_KEY.",
    });
  }
  return unseal(master.bytes, dataKeyPlace(stamp), wrapped);
}

function dataKeyPlace(stamp: string): string {
  return `stamp/${stamp}/data-key`;
}
