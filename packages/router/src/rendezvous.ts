import type { StampEntry } from "@stampyard/directory";

/**
 * Highest random weight: each client ranks the stamps by a hash of both and takes the first. A stamp that comes takes
 * its share and no other client moves; one that goes gives its clients to all others. Allocates nothing, and asks every
 * stamp, of which there are few.
 */
export function homeByRendezvous(
  stamps: Iterable<StampEntry>,
  client: string,
  pool: string,
  region: string,
): string | undefined {
  const seed = mix(2_166_136_261, client);
  let best: string | undefined;
  let highest = -1;
  for (const entry of stamps) {
    if (entry.region !== region || entry.pool !== pool || entry.endpoints.length === 0) continue;
    const weight = spread(mix(seed, entry.stamp));
    if (weight < highest || (weight === highest && best !== undefined && entry.stamp > best)) continue;
    best = entry.stamp;
    highest = weight;
  }
  return best;
}

/** FNV-1a over UTF-16 units. */
function mix(seed: number, text: string): number {
  let hash = seed;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16_777_619);
  return hash;
}

/** The final step of MurmurHash3: FNV alone leaves names that differ in their last character close to each other. */
function spread(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
