"""Private helpers that several packages share: argument checks, random generators, batch sizes."""
