"""Other job systems, measured beside Longshore on the same servers.

``catalogue`` says which and with what settings. Each has a driver here, named after it, that runs
in an environment of its own (``environments``) and so imports nothing of Longshore.
"""
