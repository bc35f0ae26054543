"""Stage aggregate: the scores and distances of an experiment as tables.

Files in: results/<experiment>/score/ and attack/. Files out, in results/<experiment>/tables/: scores.csv (every score
with its distance), cells.csv, summary.csv, order_pairs.csv and orders.csv (second beside first order), bounds.csv
(scores beside distances), calibration.csv (estimates at equal tightness), findings.csv (scores above the distance),
tables.md and tables.tex; exact.csv, exact_summary.csv and exact_answers.csv where attacks are with ``attack.exact``
(estimates beside the exact distance); published.csv where an experiment names a published table; and metrics.json.
"""
