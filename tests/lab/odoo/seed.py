# Run by `odoo shell` in the template database: what the tenants' databases share.
env["ir.config_parameter"].set_param("web.base.url", "http://lab.test")
env["ir.config_parameter"].set_param("web.base.url.freeze", "True")
root = env.ref("queue_job.channel_root")
for name in ("edi", "mrp", "carrier"):
    env["queue.job.channel"].create({"name": name, "parent_id": root.id})
# Crons that would look for hosts outside.
env["ir.cron"].search([("cron_name", "ilike", "publisher")]).active = False
env["ir.cron"].search([("cron_name", "ilike", "notification")]).active = False
env.cr.commit()
