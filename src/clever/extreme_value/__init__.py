"""The end point of a distribution from batch maxima: estimators, intervals, goodness of fit."""
