create table if not exists notes (
  tenant_id text not null references accounts,
  id uuid not null default uuidv7(),
  notebook_id uuid not null,
  author_id uuid not null,
  title text not null,
  body text not null,
  revision integer not null default 1 check (revision > 0),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, notebook_id) references notebooks (tenant_id, id),
  foreign key (tenant_id, author_id) references users (tenant_id, id)
);
create index if not exists notes_newest on notes (tenant_id, created_at desc, id desc);
create index if not exists notes_notebook on notes (tenant_id, notebook_id);

-- What a note said before each change.
create table if not exists note_revisions (
  tenant_id text not null,
  note_id uuid not null,
  revision integer not null,
  title text not null,
  body text not null,
  replaced_at timestamptz not null default now(),
  primary key (tenant_id, note_id, revision),
  foreign key (tenant_id, note_id) references notes (tenant_id, id) on delete cascade
);

create table if not exists tags (
  tenant_id text not null references accounts,
  id uuid not null default uuidv7(),
  name text not null,
  primary key (tenant_id, id),
  unique (tenant_id, name)
);

create table if not exists note_tags (
  tenant_id text not null,
  note_id uuid not null,
  tag_id uuid not null,
  primary key (tenant_id, note_id, tag_id),
  foreign key (tenant_id, note_id) references notes (tenant_id, id) on delete cascade,
  foreign key (tenant_id, tag_id) references tags (tenant_id, id)
);
create index if not exists note_tags_tag on note_tags (tenant_id, tag_id);
