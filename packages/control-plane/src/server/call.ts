import type { EndpointName, EventView, endpoints, Role } from "@stampyard/api";

/** Whose token a request carries. */
export interface Actor {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
}

type Table = typeof endpoints;
type Parsed<E, Key extends string> = E extends {
  readonly [K in Key]: { readonly _zod: { readonly output: infer Out } };
}
  ? Out
  : undefined;

/** One request, authorised and validated: all that a handler may know of HTTP. */
export interface Call<Name extends EndpointName> {
  readonly params: Parsed<Table[Name], "params">;
  readonly query: Parsed<Table[Name], "query">;
  readonly body: Parsed<Table[Name], "body">;
  readonly actor: Actor;
  readonly ifMatch: number | undefined;
  readonly requestId: string;
  /** Address of the peer, without port. */
  readonly peer: string | undefined;
  /** For what is no part of an endpoint's contract. */
  readonly headers: Pick<Headers, "get">;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Breaks the connection: the only way to tell a reader of a stream that it did not end well. */
  readonly cut: () => void;
}

/** What a handler gives, by the kind of answer that the table says. A json answer is cut to its schema before it leaves (I33). */
type Given<E> = E extends {
  readonly answers: "json";
  readonly response: { readonly _zod: { readonly input: infer In } };
}
  ? In
  : E extends { readonly answers: "events" }
    ? AsyncIterable<EventView>
    : E extends { readonly answers: "lines" }
      ? AsyncIterable<string>
      : E extends { readonly answers: "none" }
        ? undefined
        : AsyncIterable<Uint8Array>;

export type Handler<Name extends EndpointName> = (call: Call<Name>) => Promise<Given<Table[Name]>>;

/** One handler per endpoint: an endpoint without one does not compile. */
export type Handlers = { readonly [Name in EndpointName]: Handler<Name> };

/** A handler as the machinery sees it. */
export type AnyHandler = (call: AnyCall) => Promise<unknown>;

export interface AnyCall {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly actor: Actor;
  readonly ifMatch: number | undefined;
  readonly requestId: string;
  readonly peer: string | undefined;
  readonly headers: Pick<Headers, "get">;
  readonly signal: AbortSignal;
  readonly cut: () => void;
}
