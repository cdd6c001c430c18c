"""The store in Redis or Valkey: one script for each operation, all keys under one hash tag."""
