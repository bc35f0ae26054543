"""Stage model: verified weights and accuracy of an experiment's networks.

Files in: data/prepared/<data>/, and the weights from data/weights/, a file, a download or a training. Files out, in
models/<experiment>/<network>/: weights.pt (a state_dict) and about.json (origin, sha256, accuracy).
"""
