"""Stage report: one page with the claims of the papers, the evidence, and a part for each experiment.

Files in: results/<experiment>/tables/, figures/, score/ and attack/ of all experiments reported. Files out:
results/report.html, which holds everything it shows, and results/claims.csv with every verdict.
"""
