import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";

/** A certificate with its key, for the hosts of one pattern. */
export interface CertificatePair {
  /** `acme.example.com`, `*.example.com` or `default`. */
  readonly pattern: string;
  /** Of both files; the same = nothing changed. */
  readonly digest: string;
  /** Milliseconds since 1970. */
  readonly validUntil: number;
  readonly options: SecureContextOptions;
  /** Made when it is first needed: a context costs more memory than its files, and most hosts are quiet. */
  context(): SecureContext;
}

/** What every context of ours has in common: at least TLS 1.2, forward secrecy, authenticated encryption. */
export const tlsOptions = {
  minVersion: "TLSv1.2",
  ciphers:
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
} as const satisfies SecureContextOptions;

/**
 * Reads a pair, or says in one line why it cannot be used. Nothing of the key is ever in that line.
 * @param nowMs an expired certificate is none
 */
export function readPair(pattern: string, cert: string, key: string, nowMs: number): CertificatePair | string {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(cert);
  } catch {
    return "The certificate cannot be read";
  }
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return "The key is not the certificate's";
  } catch {
    return "The key cannot be read";
  }
  const validUntil = leaf.validToDate.getTime();
  if (validUntil <= nowMs) return `The certificate ended on ${new Date(validUntil).toISOString().slice(0, 10)}`;
  if (pattern !== "default" && leaf.checkHost(pattern.replace(/^\*/, "any")) === undefined) {
    return `The certificate is not for ${pattern}`;
  }
  const options: SecureContextOptions = { ...tlsOptions, cert, key };
  let made: SecureContext | undefined;
  return {
    pattern,
    digest: createHash("sha256").update(cert).update("\0").update(key).digest("hex"),
    validUntil,
    options,
    context() {
      made ??= createSecureContext(options);
      return made;
    },
  };
}
