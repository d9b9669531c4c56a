"""Domain profiles: the texts, rules and settings of a chatbot for one field, one TOML file per field and language."""

from langchain_gptoss.domains.instructions import format_instructions
from langchain_gptoss.domains.load import get_profile_path, list_languages, load_built_in_domains, load_domain
from langchain_gptoss.domains.profile import DomainProfile, RetrievalSettings, SafetyPolicy, SafetyRule

__all__ = [
    "DomainProfile",
    "RetrievalSettings",
    "SafetyPolicy",
    "SafetyRule",
    "format_instructions",
    "get_profile_path",
    "list_languages",
    "load_built_in_domains",
    "load_domain",
]
