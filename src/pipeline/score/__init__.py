"""Stage score: CLEVER of every image in every cell of an experiment.

Files in: data/prepared/<data>/, models/<experiment>/. Files out, in results/<experiment>/score/<cell>/: scores.csv (a
row an image, target and norm), scores.json (the same for other tools, by the schema of `clever.results.record`),
maxima.npy (the batch maxima of each row), examples.npz (the first images, before and behind the defense) and run.json
(what was run, and what it cost). Batch maxima go to the store on the way.
"""
