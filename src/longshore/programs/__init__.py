"""What runs as a process of its own: a worker's children and isolated jobs.

Each module puts application and worker parts together and holds no rule of its own. They are
started by module name; nothing imports them.
"""
