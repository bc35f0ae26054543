"""What several rooms need and nobody outside should: checks of arguments, random generators, memory."""
