import type { Endpoint } from "../engine.ts";

/** What an adopted stamp can do beside serving (decision D18). What is lacking is named with the way to add it. */
export interface Capabilities {
  /** It checks the signed route header, so a router that is behind cannot write to it. */
  readonly guard: boolean;
  /** Its database refuses writes of a tenant that moves. */
  readonly fence: boolean;
  /** Its tenants can be moved away. */
  readonly drain: boolean;
  /** Its data can be brought back after a loss. */
  readonly restore: boolean;
}
export type Capability = keyof Capabilities;

/** What was said at adoption. Nothing of the stamp itself was touched for it. */
export interface Adoption {
  /** Where its application answers. */
  readonly endpoints: readonly Endpoint[];
  /** Path that is asked for health; absent = an open port is enough. */
  readonly healthPath?: string;
  /** A database URL is sealed in the store. */
  readonly hasDatabase: boolean;
  readonly capabilities: Capabilities;
}

/** Name under which the database URL of an adopted stamp is sealed, like the secrets of a built one. */
export const adoptedDatabaseSecret = "adopted.databaseUrl";

/** What it lacks, with the way to add it, in a fixed order. */
export function lackingCapabilities(
  capabilities: Capabilities,
  hasDatabase: boolean,
): readonly { readonly capability: Capability; readonly add: string }[] {
  const ways: Readonly<Record<Capability, string>> = {
    guard: "build the guard into its application, and repeat stampyard stamp adopt with --route-key-file",
    fence: hasDatabase
      ? "a move out of it installs the fence in its database, whose URL is known"
      : "repeat stampyard stamp adopt with --database-url-file; a move out of it installs the fence",
    drain: "needs guard and fence; without them its tenants leave one by one, with stampyard tenant delete",
    restore: "rehearse a restore of its data, and repeat stampyard stamp adopt with --restore-tested",
  };
  const all: readonly Capability[] = ["guard", "fence", "drain", "restore"];
  return all.filter((one) => !capabilities[one]).map((capability) => ({ capability, add: ways[capability] }));
}
