import type { Digest } from "./ports.ts";

/**
 * What `stamp.yaml` says, after parsing: plain data, references still unresolved. Texts that may hold references
 * (`${db.url}`) are `Text`: the parts in order, so nobody parses `${` twice.
 */
export type TextPart = string | Reference;
export type Text = readonly TextPart[];

/** `${of.field}`: `of` is a component, or a reserved word: `stamp`, `params`, `route`, `release`, `self`. */
export interface Reference {
  readonly of: string;
  readonly field: string;
}

export type EngineKind = "local" | "kubernetes" | "command";

export interface Template {
  readonly name: string;
  /** Human version of the release, e.g. `1.4.0`. */
  readonly version: string;
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  readonly stages: readonly Stage[];
  readonly ingress: Ingress;
  readonly capacity: Capacity;
  readonly tenancy: Tenancy;
  readonly hooks: TenantHookSet;
  /** Requests of a tenant of Stampyard's own that show that a new stamp works. Absent: health and digest must do. */
  readonly verify?: readonly VerifyStep[];
}

/** References in its texts: `${tenant.key}`, `${stamp.name}`, `${stamp.region}`, and `${verify.id}`, a new UUID for each verification. */
export interface VerifyStep {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: Text;
  readonly headers: Readonly<Record<string, Text>>;
  /** JSON, sent as `application/json`. */
  readonly body?: Text;
  /** @default any of 200 to 299 */
  readonly status?: number;
  /** The answer must hold it. */
  readonly text?: Text;
  readonly timeoutMs: number;
}

export interface ParameterSpec {
  readonly type: "string" | "number" | "boolean";
  readonly default?: string | number | boolean;
  readonly description?: string;
}

export interface Stage {
  readonly name: string;
  readonly engine: EngineKind;
  readonly components: readonly Component[];
}

export type Component =
  | ServiceComponent
  | JobComponent
  | PostgresComponent
  | RedisComponent
  | NatsComponent
  | ExternalComponent;
export type ComponentKind = Component["kind"];

interface Process {
  readonly name: string;
  /** argv; the first entry is a program on PATH, or `node`, which is the Node that Stampyard runs on. */
  readonly command?: readonly Text[];
  /** Container image, for engines that run containers. */
  readonly image?: Text;
  /** Relative to the template file. */
  readonly workdir?: string;
  /** Digest of the files that it runs from, where they are not its release's: it was taken from another one. */
  readonly content?: Digest;
  readonly env: Readonly<Record<string, Text>>;
  readonly resources: Resources;
  /** Extra start order on top of what the references say. */
  readonly after: readonly string[];
}

export interface ServiceComponent extends Process {
  readonly kind: "service";
  readonly replicas: number;
  /** True when the service listens; the port number is the engine's, given as env PORT and `${self.port}`. */
  readonly listens: boolean;
  readonly health?: Health;
  /** Milliseconds a service gets between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number;
}

/** A migration or another step that runs to its end once per stamp and release. */
export interface JobComponent extends Process {
  readonly kind: "job";
  readonly timeoutMs: number;
  /** `release` runs before the services that follow it; `hook` only when a hook names it. */
  readonly run: "release" | "hook";
}

export interface PostgresComponent {
  readonly kind: "postgres";
  readonly name: string;
  /** Major version, e.g. 18. */
  readonly version: number;
  readonly maxConnections: number;
  readonly resources: Resources;
  readonly protect: boolean;
  readonly ids: Readonly<Record<string, IdPolicy>>;
  /** Foreign-key path of a child table that has no tenant column: `order_lines: [orders]`. */
  readonly via: Readonly<Record<string, readonly string[]>>;
  /**
   * The fence that a tenant's move needs, on every table of tenants. `report` lets every write pass and writes down what
   * `enforce` would refuse. Absent = off.
   */
  readonly fence?: "off" | "report" | "enforce";
  /** Tables that are the same in every stamp, made by migrations: never moved. */
  readonly reference?: readonly string[];
  /** Tables that belong to no tenant and stay where they are, e.g. a migration tool's own. */
  readonly ignored?: readonly string[];
}

/** How a sequence stays unique across stamps (used by moves). Blocks and strides are given out per stamp. */
export type IdPolicy =
  | { readonly kind: "uuid" }
  | { readonly kind: "composite" }
  | { readonly kind: "block"; readonly size: number }
  | { readonly kind: "stride"; readonly of: number };

export interface RedisComponent {
  readonly kind: "redis";
  readonly name: string;
  readonly maxMemoryMb: number;
  readonly persistence: "none" | "aof";
  readonly resources: Resources;
  readonly protect: boolean;
}

export interface NatsComponent {
  readonly kind: "nats";
  readonly name: string;
  readonly jetstream: boolean;
  readonly resources: Resources;
  readonly protect: boolean;
}

/** Something another tool made: a URL and a reference to a secret, never the secret itself. */
export interface ExternalComponent {
  readonly kind: "external";
  readonly name: string;
  readonly url: Text;
  /** Where the secret is found: `env:NAME` or `file:/path`. */
  readonly secret?: string;
}

export interface Resources {
  readonly memoryMb?: number;
  /** 1 = one core. */
  readonly cpus?: number;
}

export interface Health {
  readonly path: string;
  readonly timeoutMs: number;
  /** How long a start may take before it counts as failed. */
  readonly startWithinMs: number;
}

export interface Ingress {
  readonly service: string;
}

/** What one stamp may hold. `tenants` is always there; other units are free names such as `rps` or `gib`. */
export interface Capacity {
  readonly tenants: number;
  readonly units: Readonly<Record<string, number>>;
}

export type Tenancy =
  | { readonly model: "rows"; readonly column: string }
  | { readonly model: "schema" }
  | { readonly model: "database" };

/** What a stamp's application does for a tenant, beside serving it. */
export interface TenantHookSet {
  readonly onCreate?: TenantHook;
  readonly onDelete?: TenantHook;
  /** Source of a move, before the switch: answers how much of the tenant's work is still under way. */
  readonly onDrain?: TenantHook;
  /** Source of a move: puts away what is not in the database, objects above all, where the target can fetch it. */
  readonly onExport?: TenantHook;
  /** Target of a move, before it opens: fetches it. */
  readonly onImport?: TenantHook;
  /** Target of a move, once it serves the tenant: makes derived data again, such as a search index. */
  readonly onRebuild?: TenantHook;
}

/** Called when a stamp learns or forgets a tenant; idempotent and bounded by `timeoutMs`. */
export type TenantHook =
  | { readonly kind: "http"; readonly service: string; readonly path: string; readonly timeoutMs: number }
  | { readonly kind: "job"; readonly job: string; readonly timeoutMs: number };
