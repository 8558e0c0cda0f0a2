-- What a company would reach is asked about all of its offerings.
create index offering_by_company on offering ((company ->> 'id'));
