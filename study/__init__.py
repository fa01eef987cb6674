"""The composition root: one configuration, a chain of stages, a folder that is the whole study."""
