"""Questions for `tools.py`: tool calls and structured outputs with their exact values, in English and French."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CallCase:
    """A question that one call answers.

    Attributes:
        question: The question.
        tool: Name of the tool to call.
        arguments: The arguments of the call.
        optional: Values that further arguments may have, such as the default values.
    """

    question: str
    tool: str
    arguments: dict[str, Any]
    optional: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OutputCase:
    """A text from which one object is read.

    Attributes:
        text: The text.
        schema: Name of the schema in `SCHEMAS`.
        value: The object.
    """

    text: str
    schema: str
    value: dict[str, Any]


def _describe_tool(name: str, description: str, required: list[str], **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _describe_text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


TOOLS = [
    _describe_tool(
        "get_weather",
        "Get the weather of a city.",
        ["city"],
        city=_describe_text("Name of the city"),
        day={"type": "string", "enum": ["today", "tomorrow"], "description": "Day of the forecast, today by default"},
    ),
    _describe_tool(
        "convert_currency",
        "Convert an amount of money.",
        ["amount", "from_currency", "to_currency"],
        amount={"type": "number", "description": "Amount to convert"},
        from_currency=_describe_text("Three-letter code, such as EUR"),
        to_currency=_describe_text("Three-letter code, such as USD"),
    ),
    _describe_tool(
        "set_timer",
        "Start a timer.",
        ["minutes"],
        minutes={"type": "integer", "description": "Length in minutes"},
        label=_describe_text("Name of the timer"),
    ),
    _describe_tool(
        "find_order",
        "Find an order by its number.",
        ["order_number"],
        order_number=_describe_text("Number, such as A-100"),
    ),
    _describe_tool(
        "create_task",
        "Add a task to the list.",
        ["title"],
        title=_describe_text("What is to be done"),
        priority={"type": "string", "enum": ["low", "normal", "high"], "description": "Priority, normal by default"},
    ),
    _describe_tool(
        "switch_light",
        "Switch the light of a room on or off.",
        ["room", "is_on"],
        room={"type": "string", "enum": ["kitchen", "bedroom", "office"], "description": "The room"},
        is_on={"type": "boolean", "description": "true for on, false for off"},
    ),
    _describe_tool("multiply", "Multiply two numbers.", ["a", "b"], a={"type": "number"}, b={"type": "number"}),
    _describe_tool(
        "search_books",
        "Search the library's books.",
        ["author"],
        author=_describe_text("Name of the author"),
        year={"type": "integer", "description": "Year of publication"},
    ),
]

CALLS = [
    CallCase(
        question="What is the weather in Nantes?",
        tool="get_weather",
        arguments={"city": "Nantes"},
        optional={"day": "today"},
    ),
    CallCase(
        question="Will it rain in Oslo tomorrow?", tool="get_weather", arguments={"city": "Oslo", "day": "tomorrow"}
    ),
    CallCase(
        question="How much is 250 USD in EUR?",
        tool="convert_currency",
        arguments={"amount": 250, "from_currency": "USD", "to_currency": "EUR"},
    ),
    CallCase(
        question="Set a timer for 12 minutes.", tool="set_timer", arguments={"minutes": 12}, optional={"label": ""}
    ),
    CallCase(question="Where is my order B-2047?", tool="find_order", arguments={"order_number": "B-2047"}),
    CallCase(
        question="Add the task 'water the plants' to my list with high priority.",
        tool="create_task",
        arguments={"title": "water the plants", "priority": "high"},
    ),
    CallCase(
        question="Turn off the light in the bedroom, please.",
        tool="switch_light",
        arguments={"room": "bedroom", "is_on": False},
    ),
    CallCase(question="What is 37 times 48?", tool="multiply", arguments={"a": 37, "b": 48}),
    CallCase(
        question="Which books by Jules Verne are in the library?",
        tool="search_books",
        arguments={"author": "Jules Verne"},
    ),
    CallCase(
        question="Find the books that Agatha Christie published in 1934.",
        tool="search_books",
        arguments={"author": "Agatha Christie", "year": 1934},
    ),
    CallCase(
        question="Quel temps fait-il à Lyon ?",
        tool="get_weather",
        arguments={"city": "Lyon"},
        optional={"day": "today"},
    ),
    CallCase(
        question="Est-ce qu'il va neiger demain à Grenoble ?",
        tool="get_weather",
        arguments={"city": "Grenoble", "day": "tomorrow"},
    ),
    CallCase(
        question="Convertis 80 EUR en CHF.",
        tool="convert_currency",
        arguments={"amount": 80, "from_currency": "EUR", "to_currency": "CHF"},
    ),
    CallCase(
        question="Mets un minuteur de 25 minutes.", tool="set_timer", arguments={"minutes": 25}, optional={"label": ""}
    ),
    CallCase(question="Où en est ma commande K-318 ?", tool="find_order", arguments={"order_number": "K-318"}),
    CallCase(
        question="Ajoute la tâche « appeler le dentiste » à ma liste.",
        tool="create_task",
        arguments={"title": "appeler le dentiste"},
        optional={"priority": "normal"},
    ),
    CallCase(
        question="Allume la lumière de la cuisine.", tool="switch_light", arguments={"room": "kitchen", "is_on": True}
    ),
    CallCase(question="Combien font 19 fois 23 ?", tool="multiply", arguments={"a": 19, "b": 23}),
    CallCase(
        question="Quels livres de Victor Hugo sont à la bibliothèque ?",
        tool="search_books",
        arguments={"author": "Victor Hugo"},
    ),
    CallCase(
        question="Éteins la lumière du bureau.", tool="switch_light", arguments={"room": "office", "is_on": False}
    ),
]


def _describe_schema(title: str, **properties: Any) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMAS = {
    "Person": _describe_schema(
        "Person",
        first_name=_describe_text("First name"),
        age={"type": "integer"},
        city=_describe_text("Where they live"),
    ),
    "Meeting": _describe_schema(
        "Meeting",
        weekday={"type": "string", "enum": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]},
        hour={"type": "integer", "description": "0 to 23"},
        room=_describe_text("Name or number of the room"),
    ),
    "Purchase": _describe_schema(
        "Purchase",
        product=_describe_text("The product, as in the text"),
        quantity={"type": "integer"},
        price={"type": "number", "description": "Price of one piece in euros"},
    ),
    "Review": _describe_schema(
        "Review",
        sentiment={"type": "string", "enum": ["positive", "negative"]},
        recommends={"type": "boolean", "description": "Does the author recommend it?"},
    ),
    "Ingredients": _describe_schema(
        "Ingredients",
        items={
            "type": "array",
            "items": {"type": "string"},
            "description": "Names of the ingredients, without amounts, as in the text",
        },
    ),
    "Ticket": _describe_schema(
        "Ticket",
        category={"type": "string", "enum": ["billing", "technical", "delivery"]},
        is_urgent={"type": "boolean", "description": "Does the customer say that it is urgent?"},
    ),
}

OUTPUTS = [
    OutputCase(
        text="Alice is 34 years old and lives in Bristol.",
        schema="Person",
        value={"first_name": "Alice", "age": 34, "city": "Bristol"},
    ),
    OutputCase(
        text="My brother Tom, who is 19, has moved to Dublin.",
        schema="Person",
        value={"first_name": "Tom", "age": 19, "city": "Dublin"},
    ),
    OutputCase(
        text="We meet on Tuesday at 3 pm in room B12.",
        schema="Meeting",
        value={"weekday": "Tuesday", "hour": 15, "room": "B12"},
    ),
    OutputCase(
        text="The interview is on Friday at 9 am in room Mercury.",
        schema="Meeting",
        value={"weekday": "Friday", "hour": 9, "room": "Mercury"},
    ),
    OutputCase(
        text="She bought 3 lamps at 24.50 euros each.",
        schema="Purchase",
        value={"product": "lamps", "quantity": 3, "price": 24.5},
    ),
    OutputCase(
        text="The school ordered 120 notebooks. Each costs 2 euros.",
        schema="Purchase",
        value={"product": "notebooks", "quantity": 120, "price": 2},
    ),
    OutputCase(
        text="The soup was cold and the waiter rude. Do not go there.",
        schema="Review",
        value={"sentiment": "negative", "recommends": False},
    ),
    OutputCase(
        text="A wonderful book from the first page to the last; I recommend it to everybody.",
        schema="Review",
        value={"sentiment": "positive", "recommends": True},
    ),
    OutputCase(
        text="For the cake you need flour, sugar and butter.",
        schema="Ingredients",
        value={"items": ["flour", "sugar", "butter"]},
    ),
    OutputCase(
        text="I was charged twice this month. This is urgent!",
        schema="Ticket",
        value={"category": "billing", "is_urgent": True},
    ),
    OutputCase(
        text="Camille a 28 ans et habite à Rennes.",
        schema="Person",
        value={"first_name": "Camille", "age": 28, "city": "Rennes"},
    ),
    OutputCase(
        text="Ma voisine Odile, 71 ans, vit à Marseille depuis toujours.",
        schema="Person",
        value={"first_name": "Odile", "age": 71, "city": "Marseille"},
    ),
    OutputCase(
        text="La réunion a lieu lundi à 14 h en salle 204.",
        schema="Meeting",
        value={"weekday": "Monday", "hour": 14, "room": "204"},
    ),
    OutputCase(
        text="Rendez-vous jeudi à 10 heures en salle Monet.",
        schema="Meeting",
        value={"weekday": "Thursday", "hour": 10, "room": "Monet"},
    ),
    OutputCase(
        text="Il a acheté 5 chaises à 49,90 euros pièce.",
        schema="Purchase",
        value={"product": "chaises", "quantity": 5, "price": 49.9},
    ),
    OutputCase(
        text="Nous avons commandé 2 tables ; chacune coûte 130 euros.",
        schema="Purchase",
        value={"product": "tables", "quantity": 2, "price": 130},
    ),
    OutputCase(
        text="Un hôtel bruyant et sale. Je le déconseille.",
        schema="Review",
        value={"sentiment": "negative", "recommends": False},
    ),
    OutputCase(
        text="Très bon accueil, produits excellents : je recommande cette boutique.",
        schema="Review",
        value={"sentiment": "positive", "recommends": True},
    ),
    OutputCase(
        text="Pour la sauce, il faut des tomates, de l'ail et du basilic.",
        schema="Ingredients",
        value={"items": ["tomates", "ail", "basilic"]},
    ),
    OutputCase(
        text="Mon colis n'est toujours pas arrivé. C'est urgent.",
        schema="Ticket",
        value={"category": "delivery", "is_urgent": True},
    ),
]
