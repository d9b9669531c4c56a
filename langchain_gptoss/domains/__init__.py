"""What a chatbot of a field says, refuses and cites, as data: one TOML file per field and language."""

from langchain_gptoss.domains.instructions import system_text
from langchain_gptoss.domains.load import available_languages, domains, load_domain, profile_path
from langchain_gptoss.domains.profile import DomainProfile, RetrievalSettings, SafetyPolicy, SafetyRule

__all__ = [
    "DomainProfile",
    "RetrievalSettings",
    "SafetyPolicy",
    "SafetyRule",
    "available_languages",
    "domains",
    "load_domain",
    "profile_path",
    "system_text",
]
