"""`FaissStore`: a vector store for one machine, with FAISS for the vectors and SQLite for the documents."""
