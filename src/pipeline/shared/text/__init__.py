"""Text for people: numbers, names, settings, tables."""
