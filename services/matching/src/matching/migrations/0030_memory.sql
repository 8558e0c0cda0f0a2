-- The best of each need are found in memory (docs/decisions/0094). A process knows by these two what it has not seen yet: each
-- change of a technology group is a version of it, and each need and offering says at which version it changed there last.
create table group_version (
    technology_group text collate "C" primary key,
    version          bigint not null
);
create table member (
    technology_group text collate "C" not null,
    side             text not null check (side in ('need', 'offering')),
    id               text collate "C" not null,
    version          bigint not null,
    present          boolean not null,                -- false: it went to another group
    primary key (technology_group, side, id)
) with (fillfactor = 70);
create index member_by_version on member (technology_group, version);
create index member_by_id on member (id) where present;

insert into group_version select technology_group, 1 from need
    union select unnest(groups), 1 from offering;
insert into member select technology_group, 'need', id, 1, true from need;
insert into member select distinct unnest(groups), 'offering', id, 1, true from offering;

-- What stood in line behind the ten, and down to where, is known in memory.
drop table in_line;
alter table need drop column floor_score, drop column floor_id;
