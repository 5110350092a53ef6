"""Which of the five failures of contrastive training a model, its data or its index has: rules over plain arrays."""
