# A user who may read jobs, crons and modules by Odoo's API and nothing else, for `[[odoo]]`: where a tenant's database gives
# quarterdeck no login. Run by `odoo shell -d DATABASE < observe-user.py`; a second run changes nothing but the key, and puts the
# user into companies that are new: queue_job shows a user the jobs of its own companies alone. It prints the API key, which ends
# after KEY_DAYS days.
from datetime import datetime, timedelta

NAME, LOGIN, KEY_DAYS = "Quarterdeck Observer", "quarterdeck-observe", 90
READ = ["ir.cron", "ir.module.module", "queue.job", "queue.job.channel"]


def one(model, domain, values):
    model = env[model].with_context(active_test=False)
    return model.search(domain, limit=1) or model.create(values)


group = one("res.groups", [("name", "=", NAME)], {"name": NAME})
group.api_key_duration = KEY_DAYS
for model in READ:
    if model in env:
        right = {"name": NAME + " " + model, "model_id": env["ir.model"]._get_id(model), "group_id": group.id, "perm_read": True}
        right.update({"perm_write": False, "perm_create": False, "perm_unlink": False})
        one("ir.model.access", [("name", "=", right["name"]), ("group_id", "=", group.id)], right)
companies = env["res.company"].search([])
user = one("res.users", [("login", "=", LOGIN)], {"name": NAME, "login": LOGIN, "company_ids": [(6, 0, companies.ids)], "company_id": companies[0].id})
user.write({"group_ids": [(6, 0, [env.ref("base.group_portal").id, group.id])], "company_ids": [(6, 0, companies.ids)]})
env["res.users.apikeys"].sudo().search([("user_id", "=", user.id), ("name", "=", LOGIN)])._remove()
key = env["res.users.apikeys"].with_user(user)._generate("rpc", LOGIN, datetime.now() + timedelta(days=KEY_DAYS))
env.cr.commit()
print("QUARTERDECK_OBSERVE_KEY=" + key)
