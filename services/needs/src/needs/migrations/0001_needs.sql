-- Municipalities and what they need. What is searched, sorted or joined stands in columns; `fact` is what we announce, whole.

create table municipality (
    id           text collate "C" primary key,
    organisation text not null,                       -- the partner that speaks for it
    subject      text not null,                       -- its name in that partner's books
    country      text not null,
    fact         jsonb not null,                      -- municipality.listed.v1
    version      integer not null default 1,
    listed_at    timestamptz not null,
    changed_at   timestamptz not null,
    unique (organisation, subject)
);

create table need (
    id               text collate "C" primary key,
    organisation     text not null,
    subject          text not null,
    municipality_id  text collate "C" not null references municipality,
    technology       text not null,
    technology_group text not null,
    country          text not null,                   -- the municipality's
    deadline         date not null,                   -- last day of delivery, in the municipality's time zone
    status           text not null check (status in ('open', 'closed', 'withdrawn')),
    joint_purchase   boolean not null,
    fact             jsonb not null,                  -- need.posted.v1
    version          integer not null default 1,
    posted_at        timestamptz not null,
    changed_at       timestamptz not null,
    unique (organisation, subject)
);
create index need_by_newness on need (posted_at desc, id desc);
create index need_by_group on need (technology_group, posted_at desc, id desc);
create index need_by_municipality on need (municipality_id, status);
