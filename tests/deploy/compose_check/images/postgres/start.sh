#!/bin/sh
# A new database: made with POSTGRES_DB, POSTGRES_PASSWORD and POSTGRES_INITDB_ARGS, then the scripts of
# /docker-entrypoint-initdb.d while it listens on its socket only. Then PostgreSQL, as the user postgres.
set -eu

if [ "$(id -u)" = 0 ]; then
  chown postgres:postgres /var/lib/postgresql /run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  export POSTGRES_USER="${POSTGRES_USER:-postgres}"
  printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
  # shellcheck disable=SC2086  they are several words on purpose
  initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local=trust --auth-host=scram-sha-256 \
    $POSTGRES_INITDB_ARGS
  rm /tmp/password
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  pg_ctl --pgdata "$PGDATA" --wait --options "-c listen_addresses=''" start
  psql --quiet --username "$POSTGRES_USER" --dbname postgres --command "create database \"$POSTGRES_DB\""
  for script in /docker-entrypoint-initdb.d/*.sh; do
    sh "$script"
  done
  pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
fi

first="$1"
shift
exec "$first" -c listen_addresses='*' "$@"
