"""Upper bounds of the adversarial distance: attacks that look for the nearest adversarial image, one a file.

`clever.attack` is the public call and `clever.attacks.search.smallest_distances` the engine behind it. DDN, FMN and
Carlini and Wagner's attack are plain functions of a network and images; what refines their images works on a
`clever.attacks.refine.BestSoFar`, which keeps an image only after it was verified on the network.
"""
