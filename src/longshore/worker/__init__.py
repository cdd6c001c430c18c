"""The program that runs jobs: store thread, slots, heart, supervisor.

One job from claim to end: ``engine`` claims it and hands it to a lane, a slot of the lane
``perform``s it (resolve, decode, middleware, perform, decide), ``engine`` finishes it.
"""
