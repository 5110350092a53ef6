"""Contrastive losses as pure functions of (queries, documents, targets)."""
