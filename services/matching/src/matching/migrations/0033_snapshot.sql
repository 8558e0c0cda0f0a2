-- The memory of a technology group as it was at a version (docs/decisions/0095): who starts reads it instead of every member.
create table snapshot (
    technology_group text collate "C" primary key,
    version          bigint not null,
    form             text not null,                   -- of the engine's memory; another one cannot be read
    saved_at         timestamptz not null
);
create table snapshot_chunk (
    technology_group text collate "C" not null,
    version          bigint not null,
    number           integer not null,
    bytes            bytea not null,
    primary key (technology_group, version, number)
);
alter table snapshot_chunk alter column bytes set storage external;  -- compressed already
