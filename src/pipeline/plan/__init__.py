"""What an experiment will cost, before it is run. Files in: conf/ alone. Files out: none, it prints."""
