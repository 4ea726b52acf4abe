-- What came with PostgreSQL 18.
CREATE TABLE newer (
    id integer NOT NULL,
    n integer CONSTRAINT n_is_there NOT NULL,
    doubled integer GENERATED ALWAYS AS (n * 2) VIRTUAL,
    CONSTRAINT said CHECK (n > 0) NOT ENFORCED
);
ALTER TABLE newer ADD CONSTRAINT newer_id FOREIGN KEY (id) REFERENCES category (id) NOT ENFORCED;
CREATE TABLE unproven (n integer, m integer NOT NULL);
INSERT INTO unproven VALUES (NULL, 1);
ALTER TABLE unproven ADD CONSTRAINT unproven_n NOT NULL n NOT VALID;
CREATE TABLE rooms (id int4range, at daterange, CONSTRAINT rooms_key PRIMARY KEY (id, at WITHOUT OVERLAPS));
CREATE TABLE stays (room int4range, at daterange, FOREIGN KEY (room, PERIOD at) REFERENCES rooms (id, PERIOD at));
CREATE COLLATION other.built (provider = builtin, locale = 'C.UTF-8');
