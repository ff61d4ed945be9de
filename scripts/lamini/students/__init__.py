"""Inputs of the training: tokenizers, initializations and the tokenized dataset."""
