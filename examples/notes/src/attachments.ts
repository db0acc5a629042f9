import type { Queryable } from "./database.ts";

export interface Attachment {
  readonly id: string;
  readonly note: string;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly sha256: string;
}

interface Row extends Record<string, unknown> {
  id: string;
  note_id: string;
  name: string;
  type: string;
  size: number;
  sha256: string;
}

const columns = "id, note_id, name, type, size, sha256";

/** Undefined = there is no such note. The bytes must be in the object store before this says that they are. */
export async function addAttachment(
  db: Queryable,
  tenant: string,
  attachment: Omit<Attachment, "id">,
): Promise<Attachment | undefined> {
  const { note, name, type, size, sha256 } = attachment;
  const { rows } = await db.query<Row>(
    `insert into attachments (tenant_id, note_id, name, type, size, sha256)
     select tenant_id, id, $3, $4, $5, $6 from notes where tenant_id = $1 and id = $2 returning ${columns}`,
    [tenant, note, name, type, size, sha256],
  );
  return rows[0] === undefined ? undefined : toAttachment(rows[0]);
}

export async function listAttachments(db: Queryable, tenant: string, note: string): Promise<readonly Attachment[]> {
  const { rows } = await db.query<Row>(
    `select ${columns} from attachments where tenant_id = $1 and note_id = $2 order by id limit 100`,
    [tenant, note],
  );
  return rows.map(toAttachment);
}

export async function readAttachment(db: Queryable, tenant: string, id: string): Promise<Attachment | undefined> {
  const { rows } = await db.query<Row>(`select ${columns} from attachments where tenant_id = $1 and id = $2`, [
    tenant,
    id,
  ]);
  return rows[0] === undefined ? undefined : toAttachment(rows[0]);
}

function toAttachment({ id, note_id, name, type, size, sha256 }: Row): Attachment {
  return { id, note: note_id, name, type, size, sha256 };
}
