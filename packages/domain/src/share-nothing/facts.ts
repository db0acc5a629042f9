/** What two stamps must not have in common. */
export type SharedKind =
  | "database"
  | "cache"
  | "queue"
  | "credential"
  | "directory"
  | "uid"
  | "process"
  | "port"
  | "endpoint"
  | "external";

/**
 * How a stamp comes to a thing. `own` = it is the stamp's alone, or should be; `declared` = an external component names it;
 * `undeclared` = an address outside that no component declares.
 */
export type Relation = "own" | "declared" | "undeclared";

/** One thing that a stamp has or uses. Things are the same where kind and identity are; no fact holds a secret. */
export interface ResourceFact {
  readonly kind: SharedKind;
  /** Compared only; a credential's is a keyed hash. */
  readonly identity: string;
  /** For people, e.g. `db.corp.example:5432`. */
  readonly shown: string;
  /** Where it was found, e.g. `env DATABASE_URL of api`. */
  readonly where: string;
  readonly relation: Relation;
  /** The wall does not hold on this machine, and this is why: sharing it is told, and is no fault of the stamp. */
  readonly advisory?: string;
}

/** All that is known of one stamp. */
export interface StampFacts {
  readonly stamp: string;
  readonly facts: readonly ResourceFact[];
  /** What could not be looked at, and why. */
  readonly unseen: readonly string[];
}

/** A keyed hash that lives as long as one comparison: equal secrets are found, and none can be guessed from it later. */
export type Fingerprint = (secret: string) => string;
