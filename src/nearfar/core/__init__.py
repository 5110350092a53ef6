"""Foundations every room stands on: configuration, errors, artifacts, fingerprints, targets."""
