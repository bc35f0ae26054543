"""The pipeline around the library `clever`: a package for each stage, run as ``python -m pipeline.<stage>``.

prepare, model, score, attack, aggregate, figures, report, in this order; beside them plan (what a run will cost),
state (how far a run is), publish (weights for everyone) and verify (are these the committed numbers?).
"""
