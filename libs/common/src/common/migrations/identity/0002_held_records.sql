-- How many records each service holds back, as it last said itself: an operator sees on every page where something waits, and no
-- service reads another's tables for it. Numbers only.

CREATE TABLE identity.held (
    service   text PRIMARY KEY CHECK (length(service) BETWEEN 1 AND 63),
    amount    bigint NOT NULL CHECK (amount >= 0),
    oldest    timestamptz,
    said_at   timestamptz NOT NULL
);

CREATE VIEW identity.held_records AS SELECT service, amount, oldest, said_at FROM identity.held;

-- The tables stay closed to services; this is the one thing that they can say here.
CREATE FUNCTION identity.say_held(service text, amount bigint, oldest timestamptz, said_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO identity.held (service, amount, oldest, said_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (service) DO UPDATE SET amount = excluded.amount, oldest = excluded.oldest, said_at = excluded.said_at
$$;

GRANT SELECT ON identity.held_records TO PUBLIC;
GRANT EXECUTE ON FUNCTION identity.say_held(text, bigint, timestamptz, timestamptz) TO PUBLIC;
