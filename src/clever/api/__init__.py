"""The public functions `clever.score` and `clever.attack`."""
