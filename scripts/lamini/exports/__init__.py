"""Students as files for other programs (llama.cpp, CTranslate2), each checked against its
checkpoint."""
