"""Stage report: writes one page with the papers' claims, the evidence, and a section for each experiment.

Files in: results/<experiment>/tables/, figures/, score/ and attack/ of all reported experiments. Files out:
results/report.html, which is self-contained, and results/claims.csv with every verdict.
"""
