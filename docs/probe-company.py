# What odoo.synthetic and the synthetics' observer need in a tenant's database: a company of its own, a user who
# belongs to that company and to no other, and something to order, to move and to make. Run by
# `odoo shell -d DATABASE < probe-company.py`; a second run changes nothing but the key. It prints the API key, which
# ends after KEY_DAYS days (Odoo allows what the user's groups allow, 90 days by default).
from datetime import datetime, timedelta

COMPANY, LOGIN, CODE, KEY_DAYS = "Quarterdeck Probe", "quarterdeck-probe", "QUARTERDECK-PROBE", 90


def one(model, domain, values, **context):
    model = env[model].with_context(active_test=False, **context)
    return model.search(domain, limit=1) or model.create(values)


company = one("res.company", [("name", "=", COMPANY)], {"name": COMPANY})
# Deleting orders is for Sales/Administrator, cancelling a manufacturing order reads its analytic lines.
groups = ["base.group_user", "sales_team.group_sale_manager", "stock.group_stock_user", "mrp.group_mrp_user", "analytic.group_analytic_accounting"]
groups = [g.id for g in (env.ref(name, raise_if_not_found=False) for name in groups) if g]
user = one("res.users", [("login", "=", LOGIN)], {"name": COMPANY, "login": LOGIN, "company_id": company.id, "company_ids": [(6, 0, [company.id])]})
user.write({"group_ids": [(6, 0, groups)], "company_id": company.id, "company_ids": [(6, 0, [company.id])]})
own = {"company_id": company.id}
env = env(context=dict(env.context, allowed_company_ids=[company.id]))
one("res.partner", [("ref", "=", CODE)], {"name": COMPANY, "ref": CODE, **own})
if "product.product" in env:
    one("product.product", [("default_code", "=", CODE + "-ORDER")], {"name": COMPANY, "default_code": CODE + "-ORDER", "type": "service", **own})
    product = one("product.product", [("default_code", "=", CODE)], {"name": COMPANY, "default_code": CODE, "type": "consu", **own})
if "stock.warehouse" in env:
    product.is_storable = True
    warehouse = env["stock.warehouse"].search([("company_id", "=", company.id)], limit=1)
    warehouse = warehouse or env["stock.warehouse"].create({"name": COMPANY, "code": "QDPRB", **own})
    one("stock.location", [("barcode", "=", CODE), ("company_id", "=", company.id)], {"name": CODE, "barcode": CODE, "usage": "internal", "location_id": warehouse.lot_stock_id.id, **own})
if "mrp.bom" in env:
    made = one("product.product", [("default_code", "=", CODE + "-MADE")], {"name": COMPANY, "default_code": CODE + "-MADE", "type": "consu", "is_storable": True, **own})
    center = one("mrp.workcenter", [("code", "=", CODE), ("company_id", "=", company.id)], {"name": COMPANY, "code": CODE, **own})
    one("mrp.bom", [("code", "=", CODE), ("company_id", "=", company.id)], {"product_tmpl_id": made.product_tmpl_id.id, "code": CODE, "bom_line_ids": [(0, 0, {"product_id": product.id})], "operation_ids": [(0, 0, {"name": CODE, "workcenter_id": center.id})], **own})
env["res.users.apikeys"].sudo().search([("user_id", "=", user.id), ("name", "=", CODE)])._remove()
key = env["res.users.apikeys"].with_user(user)._generate("rpc", CODE, datetime.now() + timedelta(days=KEY_DAYS))
env.cr.commit()
print("QUARTERDECK_PROBE_KEY=" + key)
