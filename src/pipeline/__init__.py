"""The pipeline around the library `clever`: one package per stage, run as ``python -m pipeline.<stage>``.

Stages in order: prepare, model, score, attack, aggregate, figures, report. Further commands: plan (cost of a run),
state (progress of a run), publish (weights that come with the project), verify (comparison with committed numbers).
"""
