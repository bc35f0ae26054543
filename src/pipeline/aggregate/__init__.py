"""Stage aggregate: the scores and distances of an experiment as tables.

Files in: results/<experiment>/score/ and attack/. Files out, in results/<experiment>/tables/: scores.csv (every score
with its distance), cells.csv, summary.csv, order_pairs.csv and orders.csv (second beside first order), bounds.csv
(scores beside distances), evidence.csv (each kind of score by defense), calibration.csv (estimates at equal tightness),
findings.csv (scores above the distance), tables.md and tables.tex, and metrics.json. Where there is what they are
about: published.csv (a published table beside ours), radius.csv and radii.csv (cells that differ in the radius),
defenses.csv (random ones), draws.csv (scores by the number of draws), networks.csv and agreement.csv (several networks
beside each other), spread.csv (trainings of one network beside images), exact.csv, exact_summary.csv and
exact_answers.csv (estimates beside the exact distance).
"""
