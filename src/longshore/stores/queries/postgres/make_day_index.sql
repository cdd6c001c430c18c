-- By when jobs are kept; they end nearly in this order.
create index longshore_ended_d{day}_kept on longshore_ended_d{day} using brin (kept_until)
    with (pages_per_range = 32, autosummarize = on);
