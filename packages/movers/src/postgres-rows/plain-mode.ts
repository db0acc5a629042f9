import type { MoverDb } from "./connect.ts";
import type { WriteMode } from "./importing.ts";
import { type SqlClient, sqlStateOf } from "./sql.ts";

const insufficientPrivilege = "42501";
const known = new WeakMap<SqlClient, WriteMode>();

/**
 * How the mover may write there: the administrator of some managed databases cannot grant `session_replication_role`
 * (decision page: moves-without-replica.md). Asked once for each connection.
 */
export async function writeModeOf(db: MoverDb): Promise<WriteMode> {
  const found = known.get(db);
  if (found !== undefined) return found;
  const mode = await tryReplica(db);
  known.set(db, mode);
  return mode;
}

/** By trying: who may set it differs by version and by provider. */
async function tryReplica(db: MoverDb): Promise<WriteMode> {
  try {
    await db.query("begin; set local session_replication_role = replica; rollback");
    return "replica";
  } catch (caught) {
    await db.query("rollback");
    if (sqlStateOf(caught) === insufficientPrivilege) return "plain";
    throw caught;
  }
}
