"""Prepared scenes, snippets, batches and augmentation."""
