"""Metrics, runs and paired statistics, as functions of arrays."""
