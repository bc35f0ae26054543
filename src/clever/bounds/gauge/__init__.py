"""The gauge, a bound that holds behind staircases: the cost of the cheapest change that the gradient allows."""
