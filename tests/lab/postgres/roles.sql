-- The least rights that Quarterdeck needs, on the lab's primary. Passwords are set by postgres.sh.
ALTER ROLE replicator REPLICATION;
ALTER ROLE odoo CREATEDB;
GRANT pg_monitor TO quarterdeck_observe, quarterdeck_act;
GRANT pg_signal_backend TO quarterdeck_act;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO odoo, quarterdeck_observe, quarterdeck_act, quarterdeck_poor;
