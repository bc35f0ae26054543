"""What the papers claim, and what the numbers of an experiment say of it: the table claims.csv.

Verdicts rest on intervals whose unit is the image, never on a point estimate alone: a claim holds or fails where the
whole interval says so, and is undecided otherwise, with the number of images that would decide. Of an experiment with
several trainings of its network, what is said of a defense is a mean over these, too, and its interval draws both.
"""
