"""What training starts from: tokenizers, initial weights, and the tokenised dataset."""
