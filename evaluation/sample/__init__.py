"""A sample store that is drawn and simulated: products with a true style, customers with a true taste."""
