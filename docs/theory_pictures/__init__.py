"""The pictures of docs/theory.md; `python docs/make_pictures.py` draws them."""
