import { movesSql } from "./schema-3/moves.ts";

/** Schema version 3: moves of tenants. */
export const schema3 = movesSql;
