"""How numbers and settings are written."""
