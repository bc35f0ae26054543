"""Weights for everyone: trains the networks of the experiments anew and puts them where git keeps them.

Files in: data/prepared/<data>/. Files out, in data/weights/: <network>.pt (a state_dict) and <network>.json (sha256,
the command that made it, training, accuracy, versions).
"""
