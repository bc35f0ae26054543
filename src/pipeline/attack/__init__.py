"""Stage attack: the smallest adversarial distances found in every cell of an experiment, upper bounds beside CLEVER.

Files in: data/prepared/<data>/, models/<experiment>/. Files out, in results/<experiment>/attack/<cell>/: distances.csv
(a row an image, target and norm), examples.npz (the adversarial images of the first image) and run.json; exact.csv
with ``attack.exact``. Finished attacks go to the store on the way.
"""
