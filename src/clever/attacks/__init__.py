"""Upper bounds on the adversarial distance: attacks that search for the nearest adversarial image, one per file.

`clever.attack` is the public call; it runs `clever.attacks.search.smallest_distances`. DDN, FMN and Carlini and
Wagner's attack are plain functions of a network and images. The refinements work on a
`clever.attacks.refine.BestSoFar`, which keeps an image only after verifying it on the network.
"""
