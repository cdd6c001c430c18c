cat /proc/loadavg
.venv/bin/python .w11.py postgres 200; .venv/bin/python .w11.py redis 200; timeout 25 .venv/bin/python .stages.py postgres 60; cat /proc/loadavg
