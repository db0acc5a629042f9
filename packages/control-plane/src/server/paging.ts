import { StampyardError } from "@stampyard/domain";

/** One page of a list that is small enough to be read whole. The cursor names the last key, so changes between pages do no harm. */
export function pageOfList<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): { items: T[]; nextCursor?: string } {
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const sorted = [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const rest = after === undefined ? sorted : sorted.filter((item) => keyOf(item) > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page,
    ...(rest.length > limit && last !== undefined
      ? { nextCursor: Buffer.from(keyOf(last)).toString("base64url") }
      : {}),
  };
}

function readCursor(cursor: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(cursor)) {
    throw new StampyardError("INVALID_REQUEST", "The cursor is not one of ours", {
      mend: "Begin with the first page.",
    });
  }
  return Buffer.from(cursor, "base64url").toString();
}

/** Paging options as the store takes them. */
export function storePage(query: { readonly limit: number; readonly cursor?: string | undefined }): {
  limit: number;
  cursor?: string;
} {
  return { limit: query.limit, ...(query.cursor === undefined ? {} : { cursor: query.cursor }) };
}

/** A page of the store with its items as views. */
export function mapPage<T, View>(
  page: { readonly items: readonly T[]; readonly nextCursor?: string },
  view: (item: T) => View,
): { items: View[]; nextCursor?: string } {
  return { items: page.items.map(view), ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }) };
}
