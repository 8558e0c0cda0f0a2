#!/bin/sh
# Run once by PostgreSQL's image, when the database is new: a role and a schema for each service and for identity.
# None of them can read another's tables. A database that somebody else runs needs the same: its owner may run this file with
# POSTGRES_USER, POSTGRES_DB, the passwords, and what psql wants to find the server (PGHOST, PGPASSWORD). The database itself is to be
# made with `encoding utf8 locale_provider builtin builtin_locale 'C.UTF-8' locale 'C' template template0`.
set -eu

make() {
  psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set role="$1" --set password="$2" <<'SQL'
create role :"role" login password :'password';
grant connect on database :"DBNAME" to :"role";
alter role :"role" set statement_timeout = '60s';
create schema :"role" authorization :"role";
SQL
}

# Nobody else's role of this server comes in, and nobody makes temporary tables: no service does.
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
revoke all on database :"DBNAME" from public;
revoke all on schema public from public;
SQL
make identity "$IDENTITY_PASSWORD"
make needs "$NEEDS_PASSWORD"
make catalog "$CATALOG_PASSWORD"
make matching "$MATCHING_PASSWORD"
make notify "$NOTIFY_PASSWORD"
