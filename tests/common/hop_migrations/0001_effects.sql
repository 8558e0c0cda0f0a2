-- What the hop under test did. Without any unique constraint, so that a double effect would show.
create table effect (
    id       bigserial primary key,
    topic    text not null,
    key      text not null,
    sequence bigint not null,
    event_id text not null,
    type     text not null
);
create table cured (what text primary key);
