"""Scores and distances, and their export to tables, JSON and plots."""
