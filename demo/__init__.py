"""A small shop that works in the background: the tour of Longshore behind `./dev demo`.

Begin with `app.py`, the jobs, and `web.py`, which enqueues them. The rest sets the stage: input
files, a web server and a mail server to talk to, one accident, and the report.
"""
