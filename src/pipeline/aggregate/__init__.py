"""Stage aggregate: the scores and distances of an experiment as tables.

Files in: results/<experiment>/score/ and attack/. Files out, in results/<experiment>/tables/: scores.csv (every score
with its distance), cells.csv, summary.csv, order_pairs.csv and orders.csv (second beside first order), bounds.csv
(scores beside distances), evidence.csv (each kind of score by defense), findings.csv (scores above the distance),
tables.md and tables.tex, radius.csv and radii.csv where cells differ in the radius, and published.csv where an
experiment names a published table; and metrics.json.
"""
