"""What the stages share: the program around a stage, where everything lies, what an experiment is, the classifier.

Files in: conf/, params.yaml, what the stages left. Files out: reports on progress, in the store. Stages know this
package and the library `clever`, and each other only through their files.
"""
