"""Measures Longshore beside the raw loops of the same run: ``python -m bench --help``.

``cells`` lists what is measured, ``targets`` what is demanded of it, ``workloads`` holds the loops.
"""
