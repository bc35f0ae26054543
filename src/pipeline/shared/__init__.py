"""Code that the stages share: launching a stage, file paths, experiments, classifiers, data, statistics, the store.

Reads conf/, params.yaml and the outputs of the stages; writes progress records to the store. Stages import this package
and the library `clever`; they exchange data only through files.
"""
