-- Companies, what they offer, and exchange rates. What is searched, sorted or joined stands in columns; `fact` is what we
-- announce, whole.

create table company (
    id           text collate "C" primary key,
    organisation text not null,                       -- the partner that speaks for it
    subject      text not null,                       -- its name in that partner's books
    country      text not null,
    fact         jsonb not null,                      -- company.listed.v1
    version      integer not null default 1,
    listed_at    timestamptz not null,
    changed_at   timestamptz not null,
    unique (organisation, subject)
);

create table offering (
    id                text collate "C" primary key,
    organisation      text not null,
    subject           text not null,
    company_id        text collate "C" not null references company,
    technologies      text[] not null,
    technology_groups text[] not null,
    countries         text[] not null,                -- where it is delivered
    status            text not null check (status in ('listed', 'withdrawn')),
    fact              jsonb not null,                 -- offering.listed.v1
    version           integer not null default 1,
    listed_at         timestamptz not null,
    changed_at        timestamptz not null,
    unique (organisation, subject)
);
create index offering_by_newness on offering (listed_at desc, id desc);
create index offering_by_company on offering (company_id, status);
create index offering_by_technology on offering using gin (technologies);
create index offering_by_group on offering using gin (technology_groups);
create index offering_by_country on offering using gin (countries);

-- The newest rate of each currency: how many units of it one US dollar bought.
create table exchange_rate (
    currency text primary key,
    as_of    date not null,
    fact     jsonb not null                           -- exchange-rate.published.v1
);
