import type { Routing } from "@stampyard/domain";
import type { Arena } from "./arena.ts";
import type { DirectoryCounts, StampEntry } from "./directory.ts";
import type { KeyIndex } from "./key-index.ts";
import type { StampNumbers } from "./stamp-numbers.ts";

/** Everything a table consists of; what a snapshot file is loaded into. */
export interface TableParts {
  readonly arena: Arena;
  readonly index: KeyIndex;
  readonly stampNumbers: StampNumbers;
  readonly stamps: Map<string, StampEntry>;
  routing: Routing | undefined;
  tenants: number;
  hostnames: number;
  aliases: number;
}

export function countsOf({ tenants, stamps, hostnames, aliases }: TableParts): DirectoryCounts {
  return { tenants, stamps: stamps.size, hostnames, aliases };
}
