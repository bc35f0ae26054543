"""Random points in a ball and the largest values of each batch."""
