"""The table claims.csv: the papers' claims, with verdicts based on the numbers of an experiment.

Verdicts use intervals whose unit is the image, never a point estimate alone: a claim holds or fails if the whole
interval supports this, and is otherwise undecided, with the number of images that would decide it. If an experiment has
several trainings of its network, claims about a defense average over these too, and the bootstrap resamples both
trainings and images.
"""
