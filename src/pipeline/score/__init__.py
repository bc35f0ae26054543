"""Stage score: computes CLEVER scores for every image in every cell of an experiment.

Files in: data/prepared/<data>/, models/<experiment>/. Files out, in results/<experiment>/score/<cell>/: scores.csv (one
row per image, target and norm), scores.json (the same for other tools, in the schema of `clever.results.record`),
maxima.npy (the batch maxima of each row), examples.npz (the first images, before and after the defense) and run.json
(settings and cost of the run). Batch maxima are also saved in the store.
"""
