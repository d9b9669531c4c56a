"""A vector store for one machine: FAISS for the vectors, SQLite for the documents, filters before the search."""
