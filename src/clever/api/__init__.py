"""What a user calls: `clever.score` and `clever.attack`."""
