-- What a scratch database has to have in common with this one, and the server's clock in seconds of the epoch.
-- The columns of the locale have other names on other versions, hence JSON: up to 16 it is daticulocale.
-- returns: datname, encoding_name, collate_name, ctype_name, datlocprovider, datlocale, daticurules, server_number,
-- search_path, path_schemas, seconds
SELECT
    d.datname::text AS datname,
    pg_encoding_to_char(d.encoding)::text AS encoding_name,
    d.datcollate::text AS collate_name,
    d.datctype::text AS ctype_name,
    d.datlocprovider::text AS datlocprovider,
    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS datlocale,
    to_jsonb(d) ->> 'daticurules' AS daticurules,
    current_setting('server_version_num')::integer AS server_number,
    current_setting('search_path') AS search_path,
    array_to_json(current_schemas(FALSE))::jsonb AS path_schemas,
    extract(EPOCH FROM clock_timestamp())::bigint AS seconds
FROM pg_database AS d
WHERE d.datname = current_database()
