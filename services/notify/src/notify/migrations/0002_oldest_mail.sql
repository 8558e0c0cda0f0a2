-- How old the oldest mail is that has still to be sent; asked every few seconds, also while a hundred thousand wait.
CREATE INDEX delivery_oldest ON delivery (created_at) WHERE state IN ('to_compose', 'due');
