"""Styles of photos by name: classifiers over feature blocks, with calibrated probabilities and few labels."""
