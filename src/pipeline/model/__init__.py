"""Stage model: the weights of an experiment's networks, verified, and how often each network is right.

Files in: data/prepared/<data>/, data/weights/ or where else the weights come from. Files out, in
models/<experiment>/<network>/: weights.pt (a state_dict) and about.json (origin, sha256, accuracy).
"""
