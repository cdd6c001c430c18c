"""What tests need: those of applications, and those of stores.

``longshore.testing.conformance`` is the suite that every store passes and
``longshore.testing.machine`` the state machine that looks for what the suite did not think of. They
need pytest and Hypothesis, and are imported by nobody who does not ask for them.
"""
