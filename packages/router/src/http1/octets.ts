/** Classes of octets (RFC 9110 section 5.6.2), as tables: every octet of every head is looked up once. */

/** In a token: 0 = no, 1 = letter or digit, 2 = hyphen, 3 = another character that a token may hold. */
export const tokenClass = new Uint8Array(256);
/** 1 = may stand in a field value: visible, space, tab, or 0x80 and above. */
export const isValueOctet = new Uint8Array(256);
/** 1 = may stand in a request target. Octets above 0x7e may not: readers disagree about them. */
export const isTargetOctet = new Uint8Array(256);
/** Value of a hexadecimal digit, 255 = none. */
export const hexValue = new Uint8Array(256).fill(255);

for (const letter of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") {
  tokenClass[letter.charCodeAt(0)] = 1;
}
tokenClass[0x2d] = 2;
for (const mark of "!#$%&'*+.^_`|~") tokenClass[mark.charCodeAt(0)] = 3;
for (let octet = 0x20; octet < 0x100; octet++) isValueOctet[octet] = octet === 0x7f ? 0 : 1;
isValueOctet[0x09] = 1;
for (let octet = 0x21; octet < 0x7f; octet++) isTargetOctet[octet] = 1;
for (let digit = 0; digit < 16; digit++) {
  hexValue[digit.toString(16).charCodeAt(0)] = digit;
  hexValue[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}

export const cr = 0x0d;
export const lf = 0x0a;
export const space = 0x20;
export const tab = 0x09;
export const colon = 0x3a;

/** Longest head, request line or status line included. */
export const maxHeadBytes = 16 * 1024;

const octets = Buffer.alloc(maxHeadBytes + 8);

/**
 * The octets of a text of one octet per character, at the same places, and a zero behind the last: no loop that looks for
 * what may stand in a head runs past it. Valid until the next call. Looking at octets costs less than looking at the
 * characters of a text, which V8 keeps in several forms.
 */
export function octetsOf(text: string): Uint8Array {
  // No caller of today: what is longer than any head is refused before.
  if (text.length >= octets.length) return Buffer.from(`${text}\0`, "latin1");
  octets.write(text, "latin1");
  octets[text.length] = 0;
  return octets;
}

/** Whether these octets stand there. For what nearly all heads begin with: a text to compare would have to be cut out first. */
export function standsAt(octets: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let n = 0; n < expected.length; n++) if (octets[at + n] !== expected[n]) return false;
  return true;
}
