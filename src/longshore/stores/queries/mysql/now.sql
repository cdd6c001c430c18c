-- What time it is by the server's clock, whatever time zone the connection has.
select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6));
