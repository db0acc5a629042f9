const table = new Uint32Array(256);
for (let octet = 0; octet < 256; octet++) {
  let value = octet;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  table[octet] = value >>> 0;
}

/** CRC-32C (Castagnoli), as the PROXY protocol's checksum extension has it. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const octet of bytes) value = (value >>> 8) ^ (table[(value ^ octet) & 255] ?? 0);
  return (value ^ 0xffffffff) >>> 0;
}
