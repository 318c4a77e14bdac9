#!/bin/sh
# Run once, on an empty volume: a role for each service, which may make its own schema and sees no other's tables.
set -eu
for role in registry heartbeat executor gateway; do
  # By standard input: command lines show up in process lists.
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
\set role $role
\set password \`cat "${ROLES_DIR:-/etc/myx/passwords}/$role"\`
create role :"role" login password :'password';
SQL
done
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
revoke all on database myx, postgres, template1 from public;
grant connect, temporary, create on database myx to registry, heartbeat, executor, gateway;
SQL
