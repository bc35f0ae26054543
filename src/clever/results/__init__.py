"""What a user gets: scores and distances, as tables, JSON and pictures."""
