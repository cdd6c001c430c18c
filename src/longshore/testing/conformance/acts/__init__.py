"""What a script does, by what it is about: each module has acts of one sort."""
