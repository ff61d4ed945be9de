"""Inputs of the training: tokenizers, initializations and the tokenised dataset."""
