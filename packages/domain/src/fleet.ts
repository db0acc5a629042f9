import type { Parameters } from "./rendered.ts";
import type { CatchAll, Routing } from "./routing.ts";
import type { Capacity } from "./template.ts";

/** What `fleet.yaml` says: pools, routing and policies, never single stamps (decision D1). */
export interface Fleet {
  readonly name: string;
  /** Path of the stamp template, relative to the fleet file. */
  readonly template: string;
  readonly pools: readonly Pool[];
  readonly routing: Routing;
}

export interface Pool {
  readonly name: string;
  readonly tenancy: "shared" | "dedicated";
  /** New stamps take these in turn. */
  readonly regions: readonly string[];
  readonly stamps: { readonly min: number; readonly max: number };
  /** Lowers what the template declares; absent = the template's. */
  readonly capacity?: Partial<Capacity>;
  readonly parameters: Parameters;
  /** Stamp zero may take what no tenant claims, until a date (decision D18). */
  readonly catchAll?: CatchAll;
}
