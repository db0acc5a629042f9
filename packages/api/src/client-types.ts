import type { z } from "zod";
import type { EndpointName, endpoints } from "./endpoints.ts";

type Table = typeof endpoints;
type InputOf<S> = S extends z.ZodType ? z.input<S> : never;
type OutputOf<S> = S extends z.ZodType ? z.output<S> : never;

/** `key` is in the input when the endpoint has it, and may be left out when nothing in it is required. */
type Part<Key extends string, Value> = [Value] extends [never]
  ? unknown
  : Partial<Value> extends Value
    ? { readonly [K in Key]?: Value }
    : { readonly [K in Key]: Value };

type Of<E, Key extends string> = E extends { readonly [K in Key]: infer S } ? InputOf<S> : never;

export interface CallOptions {
  /** Ends the call, or the stream it opened. */
  readonly signal?: AbortSignal;
}

/** What a call takes: the endpoint's parameters, query and body, and the headers that it honours. */
export type CallInput<Name extends EndpointName> = Part<"params", Of<Table[Name], "params">> &
  Part<"query", Of<Table[Name], "query">> &
  Part<"body", Of<Table[Name], "body">> &
  (Table[Name] extends { readonly idempotencyKey: true } ? { readonly idempotencyKey?: string } : unknown) &
  (Table[Name] extends { readonly ifMatch: true } ? { readonly ifMatch?: number } : unknown) &
  CallOptions;

type Answer<E> = E extends { readonly answers: "json"; readonly response: infer S }
  ? OutputOf<S>
  : E extends { readonly answers: "events"; readonly response: infer S }
    ? AsyncIterable<OutputOf<S>>
    : E extends { readonly answers: "lines" }
      ? AsyncIterable<string>
      : E extends { readonly answers: "none" }
        ? undefined
        : // Frames and files stay bytes; the caller has the codec, or the disk.
          ReadableStream<Uint8Array>;

export type CallAnswer<Name extends EndpointName> = Answer<Table[Name]>;

type Call<Name extends EndpointName> =
  Partial<CallInput<Name>> extends CallInput<Name>
    ? (input?: CallInput<Name>) => Promise<CallAnswer<Name>>
    : (input: CallInput<Name>) => Promise<CallAnswer<Name>>;

/** Endpoints that answer `{items, nextCursor?}`. */
export type PagedName = {
  [Name in EndpointName]: Table[Name] extends { readonly query: infer Q }
    ? InputOf<Q> extends { cursor?: unknown }
      ? Name
      : never
    : never;
}[EndpointName];

export type ItemOf<Name extends PagedName> = CallAnswer<Name> extends { items: (infer Item)[] } ? Item : never;

export type Client = { readonly [Name in EndpointName]: Call<Name> } & {
  /** Page after page, each fetched when asked for. */
  pages<Name extends PagedName>(
    name: Name,
    input?: Omit<CallInput<Name>, never>,
  ): AsyncIterable<readonly ItemOf<Name>[]>;
  /** Every item of every page. */
  all<Name extends PagedName>(name: Name, input?: Omit<CallInput<Name>, never>): Promise<ItemOf<Name>[]>;
};

/** A call's input without its types, as the machinery sees it. */
export interface AnyInput extends CallOptions {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
  readonly ifMatch?: number;
}
