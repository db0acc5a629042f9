-- Jobs are rows of the tenant: written in the transaction that makes them necessary, so they are neither lost nor early,
-- and they move with the tenant like any other row. NATS only says "look now".
create table if not exists outbox (
  tenant_id text not null references accounts,
  id uuid not null default uuidv7(),
  kind text not null,
  subject_id uuid not null,
  state text not null default 'ready' check (state in ('ready', 'dead')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index if not exists outbox_due on outbox (tenant_id, due_at, id) where state = 'ready';

-- What the worker found out about a note. `revision` says of which text.
create table if not exists note_stats (
  tenant_id text not null,
  note_id uuid not null,
  revision integer not null,
  words integer not null,
  characters integer not null,
  text_digest text not null,
  computed_at timestamptz not null default now(),
  primary key (tenant_id, note_id),
  foreign key (tenant_id, note_id) references notes (tenant_id, id) on delete cascade
);
