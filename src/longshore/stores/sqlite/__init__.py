"""The store in one SQLite file: the default, in the application's own folder."""
