"""The loops, one module for each kind: ours, and the raw ones that show the physical limit.

Every one is called with a fresh folder and its parameters in a process of its own, sets up before
its clock starts, proves after it what was done, and gives a ``Sample``.
"""
