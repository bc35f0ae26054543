"""The paper's figures: each module draws one, from the tables of the stage aggregate and the maxima of score."""
