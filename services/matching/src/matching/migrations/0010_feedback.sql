-- What organisations said of a match, word by word. Nothing here is ever changed; what was said stays when the match leaves the
-- list, so nothing refers to the tables of lists.
create table feedback (
    number          bigint generated always as identity primary key,
    need_id         text collate "C" not null,
    offering_id     text collate "C" not null,
    said            json not null                     -- as it is announced
);
create index feedback_by_match on feedback (need_id, offering_id, number);

-- What became of each match by the words that count. Place and weights are those of the first word: what was judged is the
-- match as it was proposed then.
create table outcome (
    need_id         text collate "C" not null,
    offering_id     text collate "C" not null,
    technology      text collate "C" not null,
    place           smallint check (place >= 1),      -- null: outside the list
    weights         text not null,
    outcome         text check (outcome in ('awarded', 'introduced', 'interested', 'one_sided', 'declined')),
    reasons         text[] not null,                  -- of those who declined and whose word counts
    primary key (need_id, offering_id)
);
