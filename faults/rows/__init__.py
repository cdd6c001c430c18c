"""The rows of the programme, by what they do to whom."""
