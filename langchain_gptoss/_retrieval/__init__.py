"""The parts of `langchain_gptoss.retrievers`: terms, postings, fusion, rereading, rewriting, neighbours."""
