"""Stage prepare: from a data set to 8-bit images of the network's size.

Files in: the data set, wherever it lies. Files out, in data/prepared/<data>/: images.npy (image, channel, height,
width), manifest.csv (a row an image, also for the broken ones, with the reason), about.json (the settings that decided
them) and, where there are images to train on, training.npz.
"""
