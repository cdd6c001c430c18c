-- Wait for locks on tables for a moment only: others wait behind who waits.
set local lock_timeout = '100ms';
