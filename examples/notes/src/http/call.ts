import type { IncomingHttpHeaders } from "node:http";
import type { Pool } from "pg";
import type { Cache, CacheOwner } from "../cache.ts";
import type { ObjectStore } from "../objects.ts";
import type { SearchIndex } from "../search-index.ts";
import type { Uploads } from "../uploads.ts";
import type { WakeUps } from "../wake-ups.ts";

/** Which copy of the application this is; shown in answers so that a reader sees who served them. */
export interface Identity {
  readonly stamp: string;
  readonly region: string;
  readonly release: string;
}

export interface Services {
  readonly identity: Identity;
  readonly pool: Pool;
  readonly cache: Cache;
  readonly wakeUps: WakeUps;
  readonly objects: ObjectStore;
  readonly search: SearchIndex;
  readonly uploads: Uploads;
}

/** A request that the guard let pass. The tenant comes from the guard's verdict and from nowhere else. */
export interface Call extends CacheOwner {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Reads and parses the body; rejects with a Problem. */
  readonly json: () => Promise<unknown>;
  /** Reads the body as it is, of at most so many bytes; rejects with a Problem. */
  readonly bytes: (most: number) => Promise<Uint8Array>;
}

export interface Reply {
  readonly status: number;
  /** Sent as JSON; `html` is sent as it is; undefined = no body. */
  readonly json?: unknown;
  readonly html?: string;
  /** Sent as they are; `headers` say of which type. */
  readonly bytes?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Segments; one that begins with `:` is a parameter. */
  readonly path: string;
  readonly handle: (services: Services, call: Call) => Promise<Reply>;
}
