import { campaignsSql } from "./schema-3/campaigns.ts";
import { movesSql } from "./schema-3/moves.ts";

/** Schema version 3: moves of tenants, and campaigns of them. */
export const schema3 = movesSql + campaignsSql;
