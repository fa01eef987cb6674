"""One module a stage; `study/chain.py` puts them in order."""
