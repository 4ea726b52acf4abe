"""Rows for every table of the sample project, the same each time."""

FILL = """
INSERT INTO auth_group (name) SELECT 'group ' || i FROM generate_series(1, 3) AS i;
INSERT INTO auth_group_permissions (group_id, permission_id)
SELECT g.id, p.id FROM auth_group AS g, auth_permission AS p WHERE p.id % 7 = g.id;
INSERT INTO auth_user (
    password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined
) SELECT '!', i = 1, 'user' || i, '', '', '', true, true, '2026-01-01' FROM generate_series(1, 4) AS i;
INSERT INTO auth_user_groups (user_id, group_id) SELECT u.id, g.id FROM auth_user AS u, auth_group AS g;
INSERT INTO auth_user_user_permissions (user_id, permission_id)
SELECT u.id, p.id FROM auth_user AS u, auth_permission AS p WHERE p.id % 11 = u.id;
INSERT INTO django_admin_log (action_time, object_repr, action_flag, change_message, user_id)
SELECT '2026-01-02', 'thing ' || i, 1, '', (SELECT min(id) FROM auth_user) FROM generate_series(1, 5) AS i;
INSERT INTO django_session (session_key, session_data, expire_date)
SELECT 'key' || i, 'data', '2027-01-01' FROM generate_series(1, 3) AS i;

INSERT INTO shop_category (name, handle) SELECT 'category ' || i, 'category-' || i FROM generate_series(1, 5) AS i;
UPDATE shop_category SET parent_id = id - 1 WHERE id > 1;
INSERT INTO shop_tag (label) SELECT 'tag ' || i FROM generate_series(1, 8) AS i;
INSERT INTO shop_customer (name, email, phone, vip, joined, nicknames, settings, ticket)
SELECT
    'customer ' || i, 'c' || i || '@example.com', '010-' || i, i % 3 = 0, timestamptz '2026-01-01' + i * interval '1 h',
    ARRAY['n' || i, 'm'], jsonb_build_object('i', i), md5(i::text)::uuid
FROM generate_series(1, 20) AS i;
INSERT INTO shop_profile (customer_id, bio, patience)
SELECT id, 'bio ' || id, id * interval '1 minute' FROM shop_customer WHERE id % 2 = 0;
INSERT INTO shop_product (name, category_id, price, quantity, position, state, created, sold, sku, region)
SELECT
    'product ' || i, 1 + i % 5, i * 1.25, i % 30, i, CASE WHEN i % 4 = 0 THEN 'live' ELSE 'new' END,
    timestamptz '2026-02-01' + i * interval '1 day', CASE WHEN i % 2 = 0 THEN timestamptz '2026-05-01' END,
    'sku' || i, CASE WHEN i % 3 = 0 THEN 'kr' END
FROM generate_series(1, 50) AS i;
INSERT INTO shop_product_tags (product_id, tag_id)
SELECT p.id, t.id FROM shop_product AS p, shop_tag AS t WHERE (p.id + t.id) % 4 = 0;
INSERT INTO shop_favourite (customer_id, product_id, since)
SELECT c.id, p.id, date '2026-03-01' + (c.id + p.id)::integer FROM shop_customer AS c, shop_product AS p
WHERE (c.id * 7 + p.id) % 10 = 0;
INSERT INTO shop_bundle (key, title) SELECT md5('b' || i)::uuid, 'bundle ' || i FROM generate_series(1, 6) AS i;
INSERT INTO shop_bundleitem (bundle_id, product_id, count)
SELECT b.key, p.id, 1 + p.id % 3 FROM shop_bundle AS b, shop_product AS p WHERE p.id <= 4;
INSERT INTO shop_rate (currency_id, day, value)
SELECT c.code, date '2026-01-01' + i, 1 + i * 0.01 FROM shop_currency AS c, generate_series(0, 9) AS i;
INSERT INTO shop_booking (place, first_hour, last_hour, customer_id)
SELECT i, h * 2, h * 2 + 1, i FROM generate_series(1, 5) AS i, generate_series(4, 8) AS h;
INSERT INTO shop_note (text, about_id) SELECT 'note ' || i, i FROM generate_series(1, 10) AS i;
REFRESH MATERIALIZED VIEW category_totals;

INSERT INTO stock.shelf (code, height) SELECT 'shelf ' || i, 100 + i FROM generate_series(1, 7) AS i;
INSERT INTO depot_place (product_id, shelf_id, amount)
SELECT p.id, 1 + p.id % 7, p.quantity FROM shop_product AS p WHERE p.id <= 30;
INSERT INTO depot_move (place_id, amount, at)
SELECT p.id, i, timestamptz '2026-04-01' + i * interval '1 h' FROM depot_place AS p, generate_series(1, 3) AS i;

INSERT INTO ops_run (
    job, verb, scope, state, params, as_of, target, sql_digest, statements, code_version, started_by, started_from,
    options, consent, wish, target_time, workers, atomic, batches, changed, left_alone, fence, owner_host, message,
    finished_at, columns
) SELECT
    'shop.job', 'apply', '*', 'done', '{}', '2026-05-01', 'shop_product', 'x', '{}', '1', 'kim@host', 'manage.py',
    '{}', true, '', 500, 1, false, 1, 1, 0, 1, 'host', '', '2026-05-02', ARRAY['price']
FROM generate_series(1, 3);
INSERT INTO ops_window (run_id, number, upto, slot, batches, changed, done, run_fence, fence, host, pid)
SELECT id, 1, '[1]', 0, 1, 1, true, 1, 1, 'host', 1 FROM ops_run;
INSERT INTO ops_runevent (run_id, what, who, detail) SELECT id, 'opened', 'kim', '' FROM ops_run;
INSERT INTO ops_source (digest, name, text) VALUES ('x', 'shop.sql', 'SELECT 1');
INSERT INTO ops_hold (job, key, wanted, run_id) SELECT 'shop.job', ARRAY[id::text], ARRAY['1'], id FROM ops_run;
INSERT INTO ops_reject (run_id, line, reason) SELECT id, 1, 'no number' FROM ops_run;
INSERT INTO ops_anomaly (kind, key) VALUES ('late', 'a');
INSERT INTO ops_schedule (name, rule, settled_at, seen_at) VALUES ('nightly', 'daily', '2026-05-01', '2026-05-01');
INSERT INTO ops_missedslots (schedule, first, last, reason) VALUES ('nightly', '2026-05-01', '2026-05-02', 'off');
INSERT INTO ops_reportresult (report, "window", as_of, filters, "group", values, kinds, digest, run_id)
SELECT 'sales', 'day', '2026-05-01', '{}', '{}', '{}', '{}', 'd' || id, id FROM ops_run;
INSERT INTO ops_rollup (report, digest, source, time_column, grain, zone, touch, tables, files, columns, types)
VALUES (
    'sales', 'x', 'shop_product', 'created', 'day', 'UTC', 'f', ARRAY['shop_product'], ARRAY[1], '{}', ARRAY['text']
);
INSERT INTO ops_rolluptouched (report) VALUES ('sales');
INSERT INTO ops_rolluprow (report, level, bucket, key, groups, sums)
VALUES ('sales', 0, '2026-05-01', '\x01', ARRAY['a'], ARRAY['1']);
INSERT INTO ops_tableversion (name, slot, version) VALUES ('shop_product', 3, 7);
INSERT INTO ops_tagversion (name, tag, version) VALUES ('shop_product', '*', 7);
"""
