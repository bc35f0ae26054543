"""How far an experiment is. Files in: reports on progress in the store. Files out: none, it prints."""
