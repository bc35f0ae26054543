"""Stage aggregate: the scores and distances of an experiment as tables.

Files in: results/<experiment>/score/ and attack/. Files out, in results/<experiment>/tables/: a CSV for each table of
the registry (`pipeline.aggregate.tables`) that applies to the experiment, among them scores.csv (every score with its
distance), cells.csv (what each cell is), summary.csv, bounds.csv (scores and distances), orders.csv (second and first
order), evidence.csv, calibration.csv, findings.csv (scores above the distance) and claims.csv (what the papers claim,
judged); tables.md, tables.tex and tables.html, the printed ones; and metrics.json.
"""
