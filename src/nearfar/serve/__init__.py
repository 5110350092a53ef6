"""The service: a model and its index over HTTP, by the interfaces that people already call."""
