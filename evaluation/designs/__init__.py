"""Ways to randomise a test, each with its simulation, its known truth and its log; light on purpose: import modules."""
