"""Documents: metadata of files, of LangChain loaders, and of loaders from langchain-community."""

import hashlib
import json
import warnings
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss import index_documents
from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest import SyncReport, check_index, load_documents, open_store, split_documents, sync_documents
from langchain_gptoss.ingest.documents import create_documents
from langchain_gptoss.ingest.readers.base import PAGE_BREAK, ExtractedText
from tests.unit_tests.ingest.line_loader import LineLoader
from tests.unit_tests.ingest.readers.helpers import load_text
from tests.unit_tests.ingest.sample_files import create_eml
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that it is not maintained
    from langchain_community.document_loaders import BSHTMLLoader, CSVLoader, DirectoryLoader, TextLoader


PARAGRAPHS = [
    "La livraison express coûte 12,90 euros et prend un jour ouvré dans toutes les villes de France.",
    "Vous pouvez suivre votre colis sur notre site, où nous disons chaque jour dans quelle ville il se trouve.",
    "Si le colis est perdu, nous vous remboursons sous trente jours ; écrivez à notre service pour le demander.",
    "Les magasins sont ouverts du lundi au samedi, et le retrait de votre commande y est toujours gratuit.",
    "Un ordinateur ouvert peut être retourné dans les quatorze jours, mais pas des écouteurs qui ont servi.",
    "Pour une livraison à l'étranger, le prix dépend du pays et du poids, que vous trouverez dans ce tableau.",
    "Nos conseillers répondent à vos questions par téléphone, et ils parlent le français comme l'anglais.",
    "Une carte cadeau est valable deux ans, et elle peut être utilisée plusieurs fois dans nos magasins.",
]


FRENCH = "# Livraison\n\n" + "\n\n".join(PARAGRAPHS)


ENGLISH = "The express delivery costs 12.90 euros and it takes one working day for all of the stores."


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "données"
    folder.mkdir()
    (folder / "prix.md").write_text(FRENCH, encoding="utf-8")
    (folder / "rows.csv").write_text("product,price\nexpress,12.90\nstandard,4.90\nexpress,12.90\n", encoding="utf-8")
    html = f"<html><head><title>Delivery page</title></head><body><p>{ENGLISH}</p></body></html>"
    (folder / "page.html").write_text(html, encoding="utf-8")
    return folder


def create_loaders(folder: Path) -> list:
    return [
        TextLoader(folder / "prix.md", encoding="utf-8"),
        CSVLoader(folder / "rows.csv", encoding="utf-8"),
        BSHTMLLoader(folder / "page.html", open_encoding="utf-8", bs_kwargs={"features": "html.parser"}),
    ]


def load_source_texts(folder: Path) -> dict[str, str]:
    """Return the text of each source, its documents one after the other."""
    pages: dict[str, list[str]] = {}
    for loader in create_loaders(folder):
        for document in loader.load():
            pages.setdefault(str(document.metadata["source"]), []).append(document.page_content)
    return {source: PAGE_BREAK.join(texts) for source, texts in pages.items()}


def assert_complete(chunks: list[Document], folder: Path) -> None:
    texts = load_source_texts(folder)
    assert {chunk.metadata["source"] for chunk in chunks} == set(texts)
    for chunk in chunks:
        metadata = chunk.metadata
        text = texts[metadata["source"]]
        assert text[metadata["start"] : metadata["end"]] == chunk.page_content
        assert metadata["content_hash"] == hashlib.sha256(text.encode()).hexdigest()
        assert metadata["title"]
    language = {Path(chunk.metadata["source"]).name: chunk.metadata.get("language") for chunk in chunks}
    assert (language["prix.md"], language["page.html"]) == ("fr", "en")
    titles = {Path(chunk.metadata["source"]).name: chunk.metadata["title"] for chunk in chunks}
    assert titles == {"prix.md": "Livraison", "rows.csv": "rows", "page.html": "Delivery page"}
    assert {chunk.metadata["row"] for chunk in chunks if "rows.csv" in chunk.metadata["source"]} == {0, 1, 2}


def list_chunks(store) -> list[Document]:
    return [document for documents, _ in store.iterate_with_vectors() for document in documents]


def test_indexed_loaders_have_all_metadata_for_citations(folder):
    store = index_documents(create_loaders(folder), embeddings=HashEmbeddings())
    chunks = list_chunks(store)
    assert_complete(chunks, folder)
    assert sum("prix.md" in chunk.metadata["source"] for chunk in chunks) > 1
    # A row that occurs twice gives two chunks, each at its own place.
    assert len({chunk.id for chunk in chunks}) == len(chunks) == len(store)
    results = store.similarity_search("express", filter={"row": 2})
    assert "express" in results[0].page_content


def test_loaders_and_files_can_be_mixed(folder, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.md").write_text("# Own\n\nA file of this package's own reading.", encoding="utf-8")
    documents = load_documents([tmp_path / "own", *create_loaders(folder)])
    assert {"a.md"} < {document.metadata["source"] for document in documents}
    assert all({"source", "title", "start", "content_hash"} <= set(document.metadata) for document in documents)


def test_langchain_loader_for_one_suffix(folder):
    read = load_documents(folder, loaders={".csv": CSVLoader}, on_skip=lambda skipped: pytest.fail(str(skipped)))
    rows = [document for document in read if document.metadata["source"] == "rows.csv"]
    assert [row.page_content for row in rows] == [
        "product: express\nprice: 12.90",
        "product: standard\nprice: 4.90",
        "product: express\nprice: 12.90",
    ]
    assert [row.metadata["row"] for row in rows] == [0, 1, 2]


def test_loaders_are_synchronized(folder, tmp_path):
    index = tmp_path / "index"

    def synchronize_loaders(*loaders) -> SyncReport:
        return sync_documents(list(loaders), index, embeddings=HashEmbeddings(), on_progress=lambda _: None)

    assert len(synchronize_loaders(*create_loaders(folder)).added) == 3
    assert_complete(list_chunks(open_store(index, HashEmbeddings())), folder)
    assert len(synchronize_loaders(*create_loaders(folder)).unchanged) == 3
    assert check_index(index, create_loaders(folder), embeddings=HashEmbeddings()).is_consistent
    (folder / "rows.csv").write_text("product,price\nexpress,13.90\n", encoding="utf-8")
    report = synchronize_loaders(*create_loaders(folder)[:2])
    assert [Path(source).name for source in report.changed] == ["rows.csv"]
    assert [Path(source).name for source in report.removed] == ["page.html"]
    chunks = list_chunks(open_store(index, HashEmbeddings()))
    assert [chunk.page_content for chunk in chunks if "rows.csv" in chunk.metadata["source"]] == [
        "product: express\nprice: 13.90"
    ]


def test_documents_of_a_directory_loader_have_source_and_language(folder):
    loader = DirectoryLoader(
        str(folder), glob="*.md", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}, use_multithreading=False
    )
    (chunk, *_) = list_chunks(index_documents(loader, embeddings=HashEmbeddings()))
    assert Path(chunk.metadata["source"]).name == "prix.md"
    assert chunk.metadata["language"] == "fr"


def test_pages_of_a_loader_have_offsets(tmp_path):
    (tmp_path / "a.log").write_text("one one\n\nthree")
    (tmp_path / "b.md").write_text("text")
    markdown, first, third = load_documents([LineLoader(tmp_path / "a.log"), tmp_path / "b.md"])
    assert markdown.metadata["source"] == "b.md"
    assert (first.metadata["start"], third.metadata["start"]) == (0, len("one one\n\n\n\n"))
    assert first.metadata["content_hash"] == hashlib.sha256(b"one one\n\n\n\nthree").hexdigest()
    assert third.metadata["line"] == 2
    assert [chunk.page_content for chunk in split_documents([first, third])] == ["one one", "three"]
    (tmp_path / "empty.log").write_text("")
    with pytest.raises(DocumentsError, match="the loaders returned no documents"):
        load_documents(LineLoader(tmp_path / "empty.log"))


# Article 1 of the Universal Declaration of Human Rights.
ARTICLE_1 = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft och samvete och bör handla gentemot varandra i en anda av gemenskap.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím a mají spolu jednat v duchu bratrství.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi. Ele sunt înzestrate cu rațiune și conștiință și trebuie să se comporte unele față de altele în spiritul fraternității.",
}  # fmt: skip


UNCERTAIN = {
    "et": "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt. Neile on antud mõistus ja südametunnistus.",
    "cy": "Genir pawb yn rhydd ac yn gydradd â'i gilydd mewn urddas a hawliau. Fe'u cynysgaeddir â rheswm a chydwybod.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka dikaruniai akal dan hati nurani.",
    "hr": "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima. Ona su obdarena razumom i sviješću.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Text in English is here.",
    "zh": "人人生而自由,在尊严和权利上一律平等。The API of 他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "numbers": "12345", "nouns": "Rückgabe Gerät; Größe: 5; Ville: Orléans; Straße",
}  # fmt: skip


@pytest.mark.parametrize(("language", "text"), [*ARTICLE_1.items(), *((None, text) for text in UNCERTAIN.values())])
def test_language_is_in_the_metadata_if_it_is_certain(tmp_path, language, text):
    assert load_text(tmp_path, "a.txt", text.encode()).metadata.get("language") == language
    long = "12 5.5 ........ 13\n" * 500 + f"{text} " * 60 + "12 5.5 ........ 13\n" * 500
    assert load_text(tmp_path, "a.txt", long.encode()).metadata.get("language") == language


def test_metadata_can_be_serialized_as_json(tmp_path):
    (tmp_path / "a.eml").write_bytes(create_eml("x", text="y"))
    json.dumps([document.metadata for document in load_documents(tmp_path)])


def test_parts_without_numbers_become_documents_with_offsets_and_their_own_metadata():
    extracted = ExtractedText(
        ["Reply text", "  ", "Quoted text"],
        metadata={"encoding": "windows-1252", "source": "ignored"},
        page_metadata=[{}, {}, {"quoted": "reply"}],
    )
    reply, quoted = create_documents("a.eml", extracted, default_title="a")
    assert (reply.metadata["start"], quoted.metadata["start"]) == (0, len("Reply text\n\n  \n\n"))
    assert quoted.metadata["encoding"] == "windows-1252"
    assert quoted.metadata["source"] == "a.eml"
    assert quoted.metadata["quoted"] == "reply"
    assert "quoted" not in reply.metadata
    assert "page" not in reply.metadata
    (chunk,) = split_documents([quoted])
    assert chunk.metadata["quoted"] == "reply"
    assert (chunk.metadata["start"], chunk.page_content) == (quoted.metadata["start"], "Quoted text")
