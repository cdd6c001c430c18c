"""The store in this process's memory: for tests, and for work that may end with the process."""
