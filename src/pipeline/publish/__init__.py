"""Publishing of weights: trains the networks of an experiment and writes them to data/weights/, which is in git.

Files in: data/prepared/<data>/. Files out, in data/weights/: <network>.pt (a state_dict) and <network>.json (sha256,
the command that made it, training, accuracy, versions).
"""
