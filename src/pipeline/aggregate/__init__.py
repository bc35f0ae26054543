"""Stage aggregate: builds the tables of an experiment from its scores and distances.

Files in: results/<experiment>/score/ and attack/. Files out, in results/<experiment>/tables/: a CSV for each table of
the registry (`pipeline.aggregate.tables`) that applies to the experiment, including scores.csv (every score with its
distance), cells.csv (settings of each cell), summary.csv, bounds.csv (scores and distances), orders.csv (second and
first order), evidence.csv, calibration.csv, findings.csv (scores above the distance) and claims.csv (the papers' claims
with verdicts); tables.md, tables.tex and tables.html, the printed tables; and metrics.json.
"""
