/** Field names that mean something, found in a head without a copy of the name. Kinds are above 0. */
export interface KnownNames {
  /** Chains by length and first letter; most names of a head meet an empty one. */
  readonly chains: readonly (readonly Known[] | undefined)[];
}

interface Known {
  readonly name: string;
  readonly kind: number;
}

/** @param kinds by lower-case name of letters, digits and hyphens */
export function knownNames(kinds: Iterable<readonly [string, number]>): KnownNames {
  const chains: (Known[] | undefined)[] = Array.from({ length: 64 * 32 }, () => undefined);
  for (const [name, kind] of kinds) {
    const slot = slotOf(name.length, name.charCodeAt(0));
    const chain = chains[slot] ?? [];
    chain.push({ name, kind });
    chains[slot] = chain;
  }
  return { chains };
}

/**
 * The kind of the name at `octets[start, end)`, in any case; 0 = not known.
 * @param octets are only token characters there, of which no other becomes a letter, a digit or a hyphen by `| 0x20`
 */
export function kindOfName({ chains }: KnownNames, octets: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const chain = chains[slotOf(length, octets[start] as number)];
  if (chain === undefined) return 0;
  for (const { name, kind } of chain) {
    if (name.length !== length) continue;
    let at = 0;
    while (at < length && ((octets[start + at] as number) | 0x20) === name.charCodeAt(at)) at++;
    if (at === length) return kind;
  }
  return 0;
}

function slotOf(length: number, first: number): number {
  return (length & 63) * 32 + (first & 31);
}
