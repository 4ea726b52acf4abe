from django.db import migrations

VIEW = """
CREATE VIEW sales_view AS
SELECT p.id, p.quantity, p.price * p.quantity AS total FROM shop_product AS p WHERE p.quantity > 0
"""
SUMMED = """
CREATE MATERIALIZED VIEW category_totals AS
SELECT p.category_id, count(*) AS products FROM shop_product AS p GROUP BY p.category_id;
CREATE UNIQUE INDEX category_totals_key ON category_totals (category_id);
"""
FUNCTION = """
CREATE FUNCTION shop_trim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name = btrim(NEW.name);
    RETURN NEW;
END$$
"""
TRIGGER = """
CREATE TRIGGER product_trim BEFORE INSERT OR UPDATE ON shop_product
FOR EACH ROW EXECUTE FUNCTION shop_trim()
"""
TYPES = """
CREATE TYPE shop_mood AS ENUM ('good', 'bad');
CREATE DOMAIN shop_percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE SEQUENCE shop_numbers START 1000;
CREATE STATISTICS shop_prices ON category_id, price FROM shop_product;
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_renames")]
    operations = [
        migrations.RunSQL(VIEW, "DROP VIEW sales_view"),
        migrations.RunSQL(SUMMED, "DROP MATERIALIZED VIEW category_totals"),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION shop_trim()"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER product_trim ON shop_product"),
        migrations.RunSQL(
            TYPES,
            "DROP STATISTICS shop_prices; DROP SEQUENCE shop_numbers; DROP DOMAIN shop_percent; DROP TYPE shop_mood",
        ),
    ]
