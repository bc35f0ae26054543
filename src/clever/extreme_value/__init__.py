"""The end point of a distribution from the maxima of batches: estimators, intervals, goodness of fit."""
