"""Pictures of docs/theory.md, drawn by `python docs/make_pictures.py`."""
