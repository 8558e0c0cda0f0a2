-- What notify knows of others (municipalities, companies, needs with their shortlists), whom it told of what, and its mails.

CREATE TABLE municipality (
    id        text PRIMARY KEY,
    body      jsonb NOT NULL,             -- municipality.listed.v1 as last announced
    listed_at timestamptz NOT NULL        -- when we first heard of it
);

CREATE TABLE company (
    id        text PRIMARY KEY,
    body      jsonb NOT NULL,             -- company.listed.v1 as last announced
    listed_at timestamptz NOT NULL
);

CREATE TABLE need (
    id              text PRIMARY KEY,
    municipality_id text NOT NULL,
    status          text NOT NULL,        -- open, closed, withdrawn
    matches         integer NOT NULL,     -- how many offerings are on its shortlist now
    summary         jsonb NOT NULL,       -- the need itself, as its list was last announced
    shortlist       bytea NOT NULL,       -- shortlist.changed.v1 as last announced, as the JSON in which it came
    first_seen_at   timestamptz NOT NULL,
    first_match_at  timestamptz           -- when its list was first not empty
);
-- Lists of 30 kB come by the hundred each second and are read seldom: writing them is dear if they are parsed and compressed.
ALTER TABLE need ALTER shortlist SET STORAGE external;
CREATE INDEX need_open ON need (municipality_id) WHERE status = 'open';
CREATE INDEX need_latest ON need (first_seen_at DESC);
CREATE INDEX need_first_match ON need (first_match_at DESC) WHERE first_match_at IS NOT NULL;

-- A match as it was when the first recipient was told of it: what an inbox shows after the match has left the list.
CREATE TABLE match_as_told (
    need_id     text NOT NULL,
    offering_id text NOT NULL,
    body        jsonb NOT NULL,
    PRIMARY KEY (need_id, offering_id)
);

CREATE TABLE notification (
    id              uuid PRIMARY KEY,     -- follows from recipient, need and offering
    recipient_id    text NOT NULL,
    recipient_kind  text NOT NULL,
    need_id         text NOT NULL,
    offering_id     text NOT NULL,
    rule            text NOT NULL,
    why             jsonb NOT NULL,       -- the rule's sentence by language
    score           integer NOT NULL,     -- as it was told; the best come first
    issued_at       timestamptz NOT NULL,
    answer_by       timestamptz NOT NULL,
    read_at         timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,                 -- account id
    UNIQUE (need_id, offering_id, recipient_id)
);
CREATE INDEX notification_open ON notification (recipient_id, answer_by, score DESC, id) WHERE acknowledged_at IS NULL;
CREATE INDEX notification_done ON notification (recipient_id, acknowledged_at DESC, id) WHERE acknowledged_at IS NOT NULL;
CREATE INDEX notification_newest ON notification (recipient_id, issued_at DESC, id DESC);

-- Once per recipient and match: by a notification of its own, or counted in the note ("and 2 more") of another one.
CREATE TABLE told (
    need_id         text NOT NULL,
    recipient_id    text NOT NULL,
    offering_id     text NOT NULL,
    notification_id uuid NOT NULL REFERENCES notification,
    of_its_own      boolean NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (need_id, recipient_id, offering_id)
);
CREATE INDEX told_in_a_note ON told (notification_id) WHERE NOT of_its_own;

CREATE TABLE delivery (
    id              uuid PRIMARY KEY,     -- follows from notification, channel and recipient; the Message-ID is made of it
    notification_id uuid NOT NULL REFERENCES notification,
    channel         text NOT NULL,
    state           text NOT NULL,        -- to_compose, due, sent, in_folder, failed, inbox_only
    traceparent     text NOT NULL,        -- of the event that led to it: the sending goes on with that trace
    created_at      timestamptz NOT NULL,
    next_try        timestamptz NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    address         text,
    subject         text,
    message         bytea,                -- the whole mail as it is sent, composed once
    reason          jsonb,                -- by language: why it failed, waits or is not mailed
    answer          text,                 -- what the mail server said last
    finished_at     timestamptz
);
CREATE INDEX delivery_waiting ON delivery (next_try) WHERE state IN ('to_compose', 'due');
CREATE INDEX delivery_latest ON delivery (created_at DESC, id);
CREATE INDEX delivery_of_notification ON delivery (notification_id);
