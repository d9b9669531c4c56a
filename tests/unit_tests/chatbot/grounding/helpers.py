"""Documents for the tests of grounding, in English and French."""

from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding.passages import collect_passages, collect_spans

ENGLISH = (
    "Alice Martin founded Larkspur in Bruges in 1999. She left in 2005. Standard delivery costs 4.90 euros and takes "
    "three working days. Express delivery is not free from 50 euros. Returns take 14 days. The store opens before 9:00 "
    "on Monday 3 May. The film won 5 million euros at Cannes. The battery weighs 20 kg."
)
FRENCH = (
    "La carte d’identité coûte 25 € en cas de perte. Elle est valable 15 ans pour les majeurs. Le passeport n’est pas "
    "obligatoire pour l’Espagne. Le dossier est déposé à la préfecture de Lyon. L’amende peut atteindre 1 500 euros. Le "
    "cœur du dispositif est l’aide de la CAF."
)
SHIPPING = (
    "Standard delivery costs 4.90 euros and takes three to five working days.\n"
    "- Express delivery costs 12.90 euros and takes one working day.\n"
    "- Store pickup is free in all stores."
)
RETURNS = "An opened laptop can be returned within 14 days. Opened in-ear headphones cannot be returned."
DOCUMENTS = [
    Document(SHIPPING, metadata={"source": "shipping.md", "heading": "Delivery > Prices", "start": 100}),
    Document(RETURNS, metadata={"source": "returns.md", "heading": "Returns", "start": 0, "page": 3}),
]
EXPRESS = "How much does express delivery cost?"


def split_text(text, **metadata):
    """Return the sentences of a text."""
    return collect_spans(collect_passages([Document(text, metadata={"source": "a.md", **metadata})], limit=4))


DELIVERY_SPANS = collect_spans(collect_passages(DOCUMENTS, limit=4))

TEXTS = [
    "Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros and takes one working day.",
    "Opened laptops can be returned within 14 days. Refunds are paid within 7 days.",
    "The store in Ghent opens at 10:00. The store in Antwerp is closed on Sunday.",
]


def create_passages(*scores, texts=TEXTS):
    """Return one passage per text."""
    scored = [{"relevance_score": score} for score in scores] or [{}] * len(texts)
    return collect_passages(
        [
            Document(text, metadata={"source": f"{n}.md", **score})
            for n, (text, score) in enumerate(zip(texts, scored, strict=True))
        ],
        limit=8,
    )
