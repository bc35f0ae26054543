"""The store: cached numbers, their cache keys, and progress records."""
