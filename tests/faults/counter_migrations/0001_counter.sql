-- What the counting services of the fault tests did. Without a unique constraint on effects, so that a double one would show.
create table received (
    id      text collate "C" primary key,
    topic   text not null,
    key     text not null,
    number  bigint not null,
    trouble text not null
);
create table effect (
    place    bigserial primary key,
    topic    text collate "C" not null,
    key      text collate "C" not null,
    sequence bigint not null,
    event_id text collate "C" not null,
    said     text collate "C" not null,           -- the id under which the oracle sent it
    number   bigint not null,
    at       timestamptz not null default clock_timestamp()
);
create table cured (trouble text primary key);
