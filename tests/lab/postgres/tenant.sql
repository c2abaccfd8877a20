-- In each tenant's database; tables exist once Odoo made them.
REVOKE CONNECT ON DATABASE :"db" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"db" TO odoo, quarterdeck_observe, quarterdeck_act, quarterdeck_poor;
GRANT USAGE ON SCHEMA public TO quarterdeck_observe, quarterdeck_act;
SELECT format('GRANT SELECT ON %I TO quarterdeck_observe, quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
   AND relname IN ('queue_job', 'queue_job_lock', 'queue_job_channel', 'queue_job_function', 'ir_cron', 'ir_module_module', 'ir_act_server',
                   'sale_order', 'mail_presence', 'bus_presence', 'ir_cron_progress', 'ir_model_data') \gexec
SELECT format('GRANT UPDATE ON %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname IN ('queue_job', 'queue_job_lock', 'ir_cron') \gexec
-- What the verbs of docs/verbs.md need besides.
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
   AND relname IN ('ir_config_parameter', 'res_groups_users_rel', 'orm_signaling_default', 'orm_signaling_stable') \gexec
SELECT format('GRANT SELECT ON %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname IN ('ir_model_data', 'res_groups_implied_rel') \gexec
SELECT format('GRANT SELECT (id, login) ON %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname = 'res_users' \gexec
SELECT format('GRANT SELECT (id, user_id, expiration_date), UPDATE (expiration_date) ON %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname = 'res_users_apikeys' \gexec
SELECT format('GRANT USAGE ON SEQUENCE %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
   AND relname IN ('ir_config_parameter_id_seq', 'orm_signaling_default_id_seq', 'orm_signaling_stable_id_seq') \gexec
