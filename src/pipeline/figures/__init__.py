"""Stage figures: draws an experiment's figures, one module per figure, as PDF for print and PNG for the screen.

Files in: results/<experiment>/tables/, score/ and attack/. Files out: results/<experiment>/figures/, with their
captions in captions.json, in the order of the registry (`pipeline.figures.registry`). A figure whose input files are
missing (third-party images are not published) is left out, with a message.
"""
