"""Random points in a ball, and the largest value of each batch of them."""
