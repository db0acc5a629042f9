import type { Digest } from "./ports.ts";
import type { Capacity, Component, Ingress, Stage, Tenancy, Template } from "./template.ts";

/** A value for each declared parameter. */
export type Parameters = Readonly<Record<string, string | number | boolean>>;

/** Who a stamp is; everything else comes from its release. */
export interface StampIdentity {
  readonly name: string;
  readonly pool: string;
  readonly region: string;
}

/**
 * Template + parameters. `${stamp.*}`, `${params.*}` and `${release.*}` are resolved; references to components
 * (`${db.url}`), `${route.keys}` and `${self.*}` stay, because their values are ports and secrets that only the engine knows. So a rendered stamp
 * holds no secret, no port and no time, and its digest says what a stamp *is* (decision D3).
 */
export interface RenderedStamp {
  readonly identity: StampIdentity;
  readonly template: string;
  readonly version: string;
  /** Digest of the canonical template, references unresolved. */
  readonly releaseDigest: Digest;
  /** Digest of this value without the digest itself. */
  readonly stampDigest: Digest;
  readonly stages: readonly Stage[];
  readonly ingress: Ingress;
  readonly capacity: Capacity;
  readonly tenancy: Tenancy;
  readonly hooks: Template["hooks"];
}

export function componentsOf(stamp: Pick<RenderedStamp, "stages">): readonly Component[] {
  return stamp.stages.flatMap((stage) => stage.components);
}

export function findComponent<K extends Component["kind"]>(
  stamp: Pick<RenderedStamp, "stages">,
  kind: K,
): readonly Extract<Component, { kind: K }>[] {
  return componentsOf(stamp).filter((c): c is Extract<Component, { kind: K }> => c.kind === kind);
}
