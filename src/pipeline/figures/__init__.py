"""Stage figures: an experiment's figures, each drawn by a module of its own, as PDF for print and PNG for the screen.

Files in: results/<experiment>/tables/, score/ and attack/. Files out: results/<experiment>/figures/, with their
captions in captions.json, in the order of the registry (`pipeline.figures.registry`). A figure whose files are not
there (images of others are not published) is left out, with a message.
"""
