import type { z } from "zod";
import type { Role } from "./roles.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/**
 * What an answer's body is. `json` is parsed with `response`; the others are streams: `lines` of text, `events`
 * (server-sent, each parsed with `response`), `frames` of the directory feed, and a `file`.
 */
export type BodyKind = "json" | "lines" | "events" | "frames" | "file" | "none";

/** One row of the endpoint table: everything that server, client and OpenAPI need to know. */
export interface Endpoint {
  readonly method: Method;
  /** `{name}` is a parameter; each is in `params`. */
  readonly path: string;
  /** Least role; `none` only for health. There is no default: a row without a role does not compile (I40). */
  readonly role: Role | "none";
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly answers: BodyKind;
  readonly response?: z.ZodType;
  readonly status: 200 | 201 | 202 | 204;
  /** A POST that creates: `Idempotency-Key` makes a repeat answer what the first one answered. */
  readonly idempotencyKey?: true;
  /** `If-Match: "<revision>"` is compared when it is sent; the client offers it only here. */
  readonly ifMatch?: true;
  /** Largest request body in bytes. @default 1 MiB */
  readonly bodyLimit?: number;
}

/** The common case of a row. */
export const json = { answers: "json", status: 200 } as const;
