-- What makes a copy of the template the database of one tenant.
UPDATE res_company SET name = CASE :'name' WHEN 't017' THEN 'Brandt GmbH' WHEN 't003' THEN 'Nordholz AG' ELSE 'Vega Foods' END WHERE id = 1;
UPDATE res_partner SET name = c.name FROM res_company c WHERE c.id = 1 AND res_partner.id = c.partner_id;
UPDATE ir_config_parameter SET value = gen_random_uuid() WHERE key IN ('database.uuid', 'database.secret');
