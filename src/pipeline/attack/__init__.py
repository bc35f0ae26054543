"""Stage attack: finds adversarial distances for every cell of an experiment, as upper bounds to compare with CLEVER.

Files in: data/prepared/<data>/, models/<experiment>/. Files out, in results/<experiment>/attack/<cell>/: distances.csv
(one row per image, target and norm), examples.npz (the adversarial images of the first image) and run.json; exact.csv
with ``attack.exact``. Finished attacks are also saved in the store.
"""
