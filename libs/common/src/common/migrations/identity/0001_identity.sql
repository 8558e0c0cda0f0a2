-- Who may sign in: organisations, their people's accounts, one-time links, sessions, and the API keys of partners' systems.
-- Every token is kept as its SHA-256 only. Names are written in full with their schema, because several services read here.

CREATE TABLE identity.organisation (
    id          text PRIMARY KEY,            -- a municipality's or company's aggregate id, or a code such as jetro-hanoi
    kind        text NOT NULL CHECK (kind IN ('municipality', 'company', 'office', 'secretariat', 'operator', 'partner')),
    names       jsonb NOT NULL,              -- by language
    created_at  timestamptz NOT NULL
);

-- An account is one person's place in one organisation; somebody with two places has two accounts.
CREATE TABLE identity.account (
    id               uuid PRIMARY KEY,
    organisation_id  text NOT NULL REFERENCES identity.organisation,
    role             text NOT NULL CHECK (role IN ('officer', 'company', 'office', 'secretariat', 'operator')),
    names            jsonb NOT NULL,         -- by language; a function such as "Trade desk" where persons are not named
    language         text NOT NULL CHECK (language IN ('ja', 'en')),
    created_at       timestamptz NOT NULL,
    deactivated_at   timestamptz
);

CREATE TABLE identity.sign_in_link (
    token_hash  bytea PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES identity.account ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);

CREATE TABLE identity.session (
    token_hash  bytea PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES identity.account ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE INDEX session_of_account ON identity.session (account_id);

CREATE TABLE identity.api_key (
    id               uuid PRIMARY KEY,
    key_hash         bytea NOT NULL UNIQUE,
    prefix           text NOT NULL,          -- the first characters, by which people tell keys apart
    organisation_id  text NOT NULL REFERENCES identity.organisation,
    created_at       timestamptz NOT NULL,
    revoked_at       timestamptz
);

-- What services read. The time of expiry is compared by the reader, whose clock decides.
CREATE VIEW identity.live_sessions AS
    SELECT s.token_hash, s.expires_at, a.id::text AS account_id, a.role, a.organisation_id, o.names, a.language
    FROM identity.session s
    JOIN identity.account a ON a.id = s.account_id
    JOIN identity.organisation o ON o.id = a.organisation_id
    WHERE s.ended_at IS NULL AND a.deactivated_at IS NULL;

CREATE VIEW identity.live_api_keys AS
    SELECT k.key_hash, k.id::text AS account_id, 'partner'::text AS role, k.organisation_id, o.names, NULL::text AS language
    FROM identity.api_key k
    JOIN identity.organisation o ON o.id = k.organisation_id
    WHERE k.revoked_at IS NULL;

CREATE VIEW identity.people AS
    SELECT a.id::text AS account_id, a.organisation_id, a.role, a.names, a.language, a.deactivated_at IS NULL AS active
    FROM identity.account a;

-- Whoever may connect to this database is one of our services. They may look, through the views only; the tables stay the
-- owner's, so that a service can neither make itself a session nor a key.
GRANT USAGE ON SCHEMA identity TO PUBLIC;
GRANT SELECT ON identity.live_sessions, identity.live_api_keys, identity.people TO PUBLIC;
