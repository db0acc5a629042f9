-- What is attached to a note. The bytes are in the object store of the stamp, under their digest; a row says that they
-- are wanted. Rows move with their tenant, and the hooks of the move bring the bytes.
create table if not exists attachments (
  tenant_id text not null,
  id uuid not null default uuidv7(),
  note_id uuid not null,
  name text not null,
  type text not null,
  size integer not null check (size >= 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, note_id) references notes (tenant_id, id) on delete cascade
);
create index if not exists attachments_note on attachments (tenant_id, note_id);
