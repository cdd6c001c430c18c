-- What the server says of itself, as names and values; each server leaves out what it does not know.
show global variables where variable_name in (
    'version', 'read_only', 'super_read_only', 'innodb_read_only', 'log_bin', 'binlog_format',
    'innodb_flush_log_at_trx_commit', 'max_allowed_packet', 'wait_timeout',
    'innodb_lock_wait_timeout', 'transaction_isolation', 'tx_isolation', 'max_connections',
    'wsrep_on'
);
