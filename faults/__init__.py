"""The programme of faults: ``./dev faults --help``.

``frame`` says what a row is, ``trial`` plays one, ``rows`` holds them; the tests beside them are
long programmes of their own.
"""
