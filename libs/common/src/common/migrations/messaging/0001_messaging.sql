-- The tables of the messaging promise; every service has a set of its own, in its own schema.
-- Keys are COLLATE "C": they are compared as bytes, never sorted for people.

-- Producer side ------------------------------------------------------------------------------------------------------

-- The last sequence number of each key. Its row lock makes a key's events dense and in the order of their commits.
create table stream_head (
    topic    text collate "C" not null,
    key      text collate "C" not null,
    sequence bigint not null,
    primary key (key, topic)                         -- the key tells rows apart, so it comes first: one comparison, not two
) with (fillfactor = 70);

-- Everything ever announced; only inserted, never updated.
create table outbox (
    batch          bigint  not null,                 -- one number for each transaction
    n              integer not null,                 -- place inside that transaction
    topic          text collate "C" not null,
    key            text collate "C" not null,
    sequence       bigint  not null,
    event_id       uuid    not null,
    type           text    not null,
    source         text    not null,
    time           text    not null,                 -- RFC 3339, as it is sent
    trace          bytea   not null,                 -- traceparent
    correlation_id text    not null,
    causation_id   text    not null,
    body           bytea   not null,
    stored_at      timestamptz not null default now(),
    primary key (batch, n)
);
-- No index by key: nothing reads the outbox by key yet, and at random places it cost a hop about 15 % of its speed (decision 0017).

-- What the relay has still to send: one narrow row for each transaction, so "mark as sent" costs nothing per event.
create sequence outbox_batch cache 1;                -- a larger cache would break the order
create table unsent (batch bigint primary key default nextval('outbox_batch'));

-- Which life of the broker the outbox was sent to; in another life everything is sent again.
create table broker_life (
    one         boolean primary key default true check (one),
    incarnation text not null,
    since       timestamptz not null default now()
);

-- Consumer side ------------------------------------------------------------------------------------------------------

create table consumer_offset (
    grp         text not null,
    topic       text not null,
    part        integer not null,
    incarnation text not null,                       -- which life of the broker the offset belongs to
    generation  bigint not null default 0,           -- rises with every assignment; an older owner cannot write
    next        bigint not null default 0,
    primary key (grp, topic, part)
) with (fillfactor = 50);

-- The last event of each key that took effect, and the one before: a cursor moves only from where its reader found it.
create table inbox_cursor (
    grp    text collate "C" not null,
    topic  text collate "C" not null,
    key    text collate "C" not null,
    before bigint not null,
    last   bigint not null,
    primary key (key, topic, grp)
) with (fillfactor = 70);

-- Events that wait: the head of a key failed or is missing, the others stand behind it. 'superseded' waits no longer: a newer
-- version of the same key took effect; the row is kept to show what was wrong.
create table parked (
    grp            text collate "C" not null,
    topic          text collate "C" not null,
    key            text collate "C" not null,
    sequence       bigint not null,
    reason         text not null check (reason in ('poison', 'gap', 'behind', 'fetched', 'superseded')),
    event_id       uuid not null,
    type           text not null,
    source         text not null,
    time           text not null,
    trace          bytea not null,
    correlation_id text not null,
    causation_id   text not null,
    body           bytea not null,
    pointer        text,                             -- which field, as a JSON pointer into the body
    error          text,
    attempts       integer not null default 0,
    first_at       timestamptz not null default now(),
    next_try       timestamptz not null default now(),
    primary key (grp, topic, key, sequence)
);
create index parked_by_key on parked (grp, topic, key, sequence) where reason <> 'superseded';
create index parked_by_time on parked (grp, next_try) where reason <> 'superseded';

-- Records that are no valid event; kept byte for byte.
create table quarantine (
    grp         text not null,
    topic       text not null,
    incarnation text not null,
    part        integer not null,
    "offset"    bigint not null,
    reason      text not null,
    key         bytea,
    headers     bytea,                               -- JSON: name and base64 of each
    body        bytea,
    at          timestamptz not null default now(),
    primary key (grp, topic, incarnation, part, "offset")
);

-- Partners' events ---------------------------------------------------------------------------------------------------

-- What was received from whom, and what was answered: the same again gets the same answer.
create table inbox_seen (
    source  text collate "C" not null,
    id      text collate "C" not null,
    sha256  bytea not null,
    result  jsonb,
    seen_at timestamptz not null default now(),
    primary key (source, id)
);

-- The time of the newest event of each subject that took effect; an older one is superseded.
create table inbox_newest (
    source  text collate "C" not null,
    subject text collate "C" not null,
    time    timestamptz not null,
    primary key (source, subject)
);

-- Time ---------------------------------------------------------------------------------------------------------------

-- What has to be done at a certain time; one duty of a kind for each key.
create table due (
    key      text collate "C" not null,
    kind     text collate "C" not null,
    at       timestamptz not null,
    attempts integer not null default 0,
    next_try timestamptz not null,
    error    text,
    primary key (key, kind)
);
create index due_by_time on due (next_try);
