"""Stage prepare: converts a data set to 8-bit images of the network's input size.

Files in: the data set, in any location. Files out, in data/prepared/<data>/: images.npy (image, channel, height,
width), manifest.csv (one row per image, including broken ones with the reason), about.json (the settings that the
images depend on) and, if there are training images, training.npz.
"""
