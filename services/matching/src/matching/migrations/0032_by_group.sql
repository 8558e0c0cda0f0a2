-- Needs and offerings are handed on to the technology groups (docs/decisions/0096): each group knows them as it has matched them,
-- which may be a moment behind what pages show of them.
alter table member add column judged json, add column today date;
update member set judged = need.judged, today = need.today from need
    where side = 'need' and present and member.id = need.id and open;
update member set judged = offering.judged from offering where side = 'offering' and present and member.id = offering.id;
alter table member drop column present;               -- what is not in the group has nothing to be judged by
drop index if exists member_by_id;

-- The end of a need's day is a duty of its group.
update due set key = technology_group || '/' || need.id from need where key = need.id and kind = 'judge_again';
