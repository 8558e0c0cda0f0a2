-- What the promise needs beyond the chain: a log that was shortened is noticed, missing events are fetched, old ones are dropped,
-- held records can be mended, and who mended what is written down for good.

-- Producer side ------------------------------------------------------------------------------------------------------

-- In a topic of facts a reader may ask for what it misses of a key; only there an index by key is worth its price (decision 0060).
alter table outbox add column dense boolean not null default false;
create index outbox_of_a_key on outbox (key, topic, sequence) where dense;

-- Where each partition ended when last heard of in this life of the broker; a lower end means that the log was shortened behind our
-- back. And the furthest that a reader may stand: what is written below that has to be written again (see `common.sending`).
create table sent_until (
    topic  text not null,
    part   integer not null,
    next   bigint not null,
    beyond bigint not null,
    primary key (topic, part)
);

-- Everything stored has to be marked unsent; done in portions, so this says that it has begun.
alter table broker_life add column all_again boolean not null default false;

-- Where `sent_until` stood at a time, hourly: what was stored well before it lies below it.
create table sent_mark (
    at    timestamptz not null,
    topic text not null,
    part  integer not null,
    next  bigint not null,
    primary key (at, topic, part)
);

-- How far each group has come in our topics, as it last said on `protocol.progress`.
create table reader (
    grp         text not null,
    topic       text not null,
    part        integer not null,
    incarnation text not null,
    next        bigint not null,
    heard_at    timestamptz not null,
    primary key (grp, topic, part)
);

-- Consumer side ------------------------------------------------------------------------------------------------------

-- 'fetched': to be tried as if it had just arrived. 'skipped': somebody decided that it shall have no effect.
-- An event is due at `next_try`. At 'infinity' it is dead, or stands behind another one, which will make it due (decision 0061).
-- 'superseded' and 'skipped' rows hold nobody up and are kept to show what was wrong.
alter table parked drop constraint parked_reason_check;
alter table parked add constraint parked_reason_check
    check (reason in ('poison', 'gap', 'behind', 'fetched', 'superseded', 'skipped'));
alter table parked add column original bytea;        -- the body as it arrived, where somebody edited it
alter table parked add column part integer;          -- where its record stood in the log
alter table parked add column "offset" bigint;
alter table parked add column logged_at bigint;      -- the record's timestamp, milliseconds since 1970
-- What rows have in common that one cure may mend: the field that breaks its contract (places in lists left out, and names that the
-- sender chose: else it could make causes without end), or else the kind of error. Operators see and retry by it.
alter table parked add column cause text not null generated always as (
    case when length(pointer) >= 500 then coalesce(substring(pointer from '^/[^/]{1,100}'), '') || '/*'  -- it was cut
         when pointer <> '' then regexp_replace(regexp_replace(regexp_replace(regexp_replace(pointer,
             '/[0-9]+', '/*', 'g'),
             '/[^/]*/\[key\]', '/*/[key]', 'g'),                                                  -- what is no language
             '/(names|title|text|words|function|why|offering)/[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$', '/\1/*'),   -- languages
             '/values/[^/]*', '/values/*', 'g')
         else coalesce(substring(error from '^(?:the key is|[A-Za-z_.]+)'), '') end
) stored;
drop index parked_by_key;
drop index parked_by_time;
create index parked_by_key on parked (grp, topic, key, sequence) where reason not in ('superseded', 'skipped');
create index parked_by_time on parked (grp, next_try) include (first_at) where reason not in ('superseded', 'skipped');

alter table quarantine add column state text not null default 'waiting' check (state in ('waiting', 'retried', 'skipped'));
alter table quarantine add column cause text not null generated always as (
    case when reason like 'not JSON:%' then 'not JSON'
         when reason like 'a batch that cannot be unpacked:%' then 'a batch that cannot be unpacked'
         when reason like 'unknown type %' then 'unknown type'                 -- the sender may name any number of types
         else left(reason, 200) end
) stored;
create index quarantine_waiting on quarantine (grp, topic, cause, at) where state = 'waiting';
alter table quarantine add column original jsonb;    -- key, headers and body (base64) as they arrived, where somebody edited them

-- Who did what -------------------------------------------------------------------------------------------------------

-- Append-only. Each row's hash covers the row and the hash before it, so that no alteration goes unseen.
create table audit (
    number   bigint primary key,                     -- 1, 2, 3… without gaps
    at       timestamptz not null,
    actor    text not null,                          -- an account's id, or the operating system's user at the command line
    action   text not null,
    subject  jsonb not null,                         -- which record
    reason   text not null,
    before   bytea,
    after    bytea,
    previous bytea not null,                         -- the hash of the row before; 32 zero bytes in the first
    hash     bytea not null                          -- SHA-256
);
create index audit_by_subject on audit using gin (subject jsonb_path_ops);
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_rows_stay before update or delete on audit for each row execute function audit_is_append_only();
create trigger audit_stays before truncate on audit for each statement execute function audit_is_append_only();
