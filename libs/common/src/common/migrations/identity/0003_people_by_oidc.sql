-- People who sign in at an OpenID Connect provider. An account is invited at an e-mail address; the first sign-in binds it to what
-- the provider calls that person, and from then on only that counts: addresses are given to somebody else one day.

ALTER TABLE identity.account
    ADD COLUMN email    text,                -- as it is compared: without spaces around it, A to Z as small letters
    ADD COLUMN issuer   text,
    ADD COLUMN subject  text,
    ADD CONSTRAINT account_bound_wholly CHECK ((issuer IS NULL) = (subject IS NULL));

-- Who was removed may be invited again: a new account at the old address.
CREATE UNIQUE INDEX account_invited_at ON identity.account (email) WHERE deactivated_at IS NULL;
CREATE UNIQUE INDEX account_of_subject ON identity.account (issuer, subject) WHERE deactivated_at IS NULL;

-- Sign-ins that began here and are not back from the provider yet. What the browser has to bring back is in its cookie.
CREATE TABLE identity.sign_in_attempt (
    cookie_hash  bytea PRIMARY KEY,
    wanted       text NOT NULL,              -- the address on our own origin to which the person wants to go
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sign_in_attempt_expires ON identity.sign_in_attempt (expires_at);
