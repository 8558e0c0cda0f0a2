-- What matching knows: its own copy of needs and offerings, exchange rates, and the shortlist of every need.
-- `judged` is what the rules look at, as JSON that is read by the thousand; the columns beside it are what SQL filters by.

create table need (
    id              text collate "C" primary key,
    technology      text collate "C" not null,
    technology_group text collate "C" not null,
    unit            text collate "C" not null,
    country         text collate "C" not null,
    currency        text collate "C" not null,        -- of the budget; empty where none is stated
    municipality_id text collate "C" not null,
    open            boolean not null,                 -- not closed, withdrawn or past its deadline
    judged          json not null,
    summary         json not null,                    -- as it is announced
    trace           bytea not null,                   -- traceparent of the event that brought it
    as_of           timestamptz not null,             -- the moment for which its list was searched
    today           date not null,                    -- that moment's calendar day at the municipality
    -- The place down to which the best are kept, in `match` and `in_line`; null: all that pass are kept.
    floor_score     smallint,
    floor_id        text collate "C",
    announced       bytea                             -- fingerprint of what was last announced; null: nothing yet
) with (fillfactor = 70);
create index need_by_place on need (technology, country) where open;
create index need_by_currency on need (currency) where open;
create index need_by_municipality on need (municipality_id);

create table offering (
    id          text collate "C" primary key,
    groups      text[] not null,                      -- technology groups
    fields      text[] not null,                      -- where it is looked for (see domain/places.py); none if withdrawn
    currency    text collate "C" not null,            -- of its prices; empty where none are stated
    judged      json not null,
    names       json not null,
    company     json not null,
    trace       bytea not null
);
-- Without the list of pending entries, which every search would have to read through.
create index offering_by_field on offering using gin (fields) with (fastupdate = off);
create index offering_by_currency on offering (currency);

-- The exact ten best offerings of each need, or all where there are fewer.
create table match (
    need_id     text collate "C" not null references need,
    offering_id text collate "C" not null references offering,
    company_id  text collate "C" not null,
    score       smallint not null check (score between 0 and 100),
    explained   json not null,                        -- the match as it is announced
    fingerprint bytea not null,                       -- of everything in it but the days that go by
    primary key (need_id, offering_id)
);
create index match_by_offering on match (offering_id);
create index match_by_company on match (company_id);

-- Those next in line behind the ten.
create table in_line (
    need_id     text collate "C" not null references need,
    offering_id text collate "C" not null references offering,
    score       smallint not null check (score between 0 and 100),
    primary key (need_id, offering_id)
);
create index in_line_by_offering on in_line (offering_id);

-- How many units of the currency one US dollar bought.
create table rate (
    currency text collate "C" primary key,
    per_usd  numeric not null check (per_usd > 0),
    as_of    date not null,
    source   text not null
);
