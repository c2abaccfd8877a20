-- In each tenant's database; tables exist once Odoo made them.
REVOKE CONNECT ON DATABASE :"db" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"db" TO odoo, quarterdeck_observe, quarterdeck_act, quarterdeck_poor;
GRANT USAGE ON SCHEMA public TO quarterdeck_observe, quarterdeck_act;
SELECT format('GRANT SELECT ON %I TO quarterdeck_observe, quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
   AND relname IN ('queue_job', 'queue_job_lock', 'queue_job_channel', 'queue_job_function', 'ir_cron', 'ir_module_module', 'ir_act_server') \gexec
SELECT format('GRANT UPDATE ON %I TO quarterdeck_act', relname)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname IN ('queue_job', 'queue_job_lock') \gexec
