import { evidenceSql } from "./schema-4/evidence.ts";
import { freezesSql } from "./schema-4/freezes.ts";
import { rolloutsSql } from "./schema-4/rollouts.ts";
import { webhooksSql } from "./schema-4/webhooks.ts";

/** Schema version 4: rollouts of releases, what they are judged by, what stops them, and whom they tell. */
export const schema4 = rolloutsSql + evidenceSql + freezesSql + webhooksSql;
