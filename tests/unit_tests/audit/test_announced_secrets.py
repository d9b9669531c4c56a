"""Keys, and passwords and codes that a text announces; words about passwords are kept."""

import pytest

from langchain_gptoss.audit import Masker
from langchain_gptoss.audit.announced_secrets import is_announced_password, is_announced_pin, is_passphrase
from langchain_gptoss.serve import Keys, add_key

MASKER = Masker()
KEY = "gptoss-Zk3-vQ9_xT7bLm2RpW8sYc4NfH6jDa1GeU5oKiB0tEz"

MASKED = [
    # own keys and others
    (f"Authorization: Bearer {KEY}", "Authorization: Bearer [secret-1]"),
    (f"my key is {KEY}.", "my key is [secret-1]."),
    (f"ma clé : {KEY}, merci", "ma clé : [secret-1], merci"),
    (f"curl -H 'Authorization: Bearer {KEY}' http://h/v1", "curl -H 'Authorization: Bearer [secret-1]' http://h/v1"),
    (f'api_key="{KEY}"', 'api_key="[secret-1]"'),
    (f"GPTOSS_API_KEY={KEY}", "GPTOSS_API_KEY=[secret-1]"),
    (f"({KEY})", "([secret-1])"),
    (f"{KEY},{KEY[:-1]}q", "[secret-1],[secret-2]"),
    ("GPTOSS_AUDIT_KEY=s3cretvalue9", "GPTOSS_AUDIT_KEY=[secret-1]"),
    ("OPENAI_API_KEY=abc123def456ghi", "OPENAI_API_KEY=[secret-1]"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=[secret-1]"),
    ("Authorization: Basic YWRhOmh1bnRlcjI=", "Authorization: Basic [secret-1]"),
    ("sk-ant-api03-abcdefGHIJKL0123456789mnop", "[secret-1]"),
    # passwords
    ("password: x", "password: [secret-1]"),
    ("mot de passe : x", "mot de passe : [secret-1]"),
    ("mon mdp est x", "mon mdp est [secret-1]"),
    ("the pin is 1234", "the pin is [secret-1]"),
    ("password: sunshine", "password: [secret-1]"),
    ("Password = sunshine", "Password = [secret-1]"),
    ("password=sunshine&next=/", "password=[secret-1]&next=/"),
    ("mot de passe: soleil.", "mot de passe: [secret-1]."),
    ("mot de passe : « soleil »", "mot de passe : « [secret-1] »"),
    ("mot de passe\u00a0: soleil", "mot de passe\u00a0: [secret-1]"),
    ("Mon mot de passe est soleil et je m'appelle Ada", "Mon mot de passe est [secret-1] et je m'appelle Ada"),
    ("mon mot de passe c'est soleil", "mon mot de passe c'est [secret-1]"),
    ("mon mdp c’est azerty", "mon mdp c’est [secret-1]"),
    ("MDP : azerty", "MDP : [secret-1]"),
    ("mdp=azerty", "mdp=[secret-1]"),
    ("mdp wifi : azerty", "mdp wifi : [secret-1]"),
    ("mot de passe du wifi : soleil", "mot de passe du wifi : [secret-1]"),
    ("le mot de passe de la box est soleil42", "le mot de passe de la box est [secret-1]"),
    ("the password for the wifi is sunshine42", "the password for the wifi is [secret-1]"),
    ("my password is hunter", "my password is [secret-1]"),
    ("My password was hunter2!", "My password was [secret-1]"),
    ("the password is sunshine.", "the password is [secret-1]."),
    ('"password": "sunshine"', '"password": "[secret-1]"'),
    ("'passwd': 'sunshine'", "'passwd': '[secret-1]'"),
    ("**Password:** sunshine", "**Password:** [secret-1]"),
    ("Password: `sunshine`", "Password: `[secret-1]`"),
    ("<password>sunshine</password>", "<password>[secret-1]</password>"),
    ("DB_PASSWORD=sunshine", "DB_PASSWORD=[secret-1]"),
    ("--password sunshine", "--password [secret-1]"),
    ("--password=sunshine", "--password=[secret-1]"),
    ("password -> sunshine", "password -> [secret-1]"),
    ("login: ada password: hunter", "login: ada password: [secret-1]"),
    ("identifiant : ada, mot de passe : hunter", "identifiant : ada, mot de passe : [secret-1]"),
    ("pwd: p@ss,w0rd;x", "pwd: [secret-1]"),
    ("password: 12345678", "password: [secret-1]"),
    ("mot de passe : 0000", "mot de passe : [secret-1]"),
    ('passphrase: "correct horse battery staple"', 'passphrase: "[secret-1]"'),
    ("passphrase: correct horse battery staple", "passphrase: [secret-1]"),
    ("phrase de passe : cheval correct agrafe pile", "phrase de passe : [secret-1]"),
    ("PIN: 1234", "PIN: [secret-1]"),
    ("PIN 1234", "PIN [secret-1]"),
    ("code PIN : 1234", "code PIN : [secret-1]"),
    ("mon code pin est 4821", "mon code pin est [secret-1]"),
    ("my pin code is 4821.", "my pin code is [secret-1]."),
    ("mon code est 4821", "mon code est [secret-1]"),
    ("code secret : 4821", "code secret : [secret-1]"),
    ("code confidentiel 4821", "code confidentiel [secret-1]"),
    ("digicode : 45A12", "digicode : [secret-1]"),
    ("digicode 4512B", "digicode [secret-1]"),
    ("CVV: 123", "CVV: [secret-1]"),
    ("cryptogramme visuel : 123", "cryptogramme visuel : [secret-1]"),
    ("access code: 884422", "access code: [secret-1]"),
    ("clé wifi : A1B2C3D4E5", "clé wifi : [secret-1]"),
]
KEPT = [
    # words about passwords
    "password: required",
    "Password: at least 8 characters",
    "Password: must contain a digit",
    "password: 8 characters",
    "mot de passe : obligatoire",
    "Mot de passe : au moins 12 caractères",
    "Mot de passe oublié : cliquez ici",
    "le mot de passe est obligatoire",
    "le mot de passe est trop court",
    "le mot de passe est envoyé par courriel",
    "the password is incorrect",
    "the password is stored hashed",
    "my password is not working",
    "my password is expired",
    "mon mot de passe est oublié",
    "Password reset is simple",
    "the password policy is strict and long",
    "the token is valid",
    "token: required",
    "jeton : expiré",
    "password: ********",
    "password: ${DB_PASSWORD}",
    "password: $PASSWORD",
    "password: {{ password }}",
    "password: <your password>",
    "password: null",
    'password=os.environ["X"]',
    "Le secret est bien gardé.",
    "The key is on page 12: see there.",
    "the pin is bent",
    "pin 12 of the connector",
    "GPIO pin 17",
    "opinion 1234",
    "code 404",
    "error code 1234",
    "code postal 75001",
    "code APE 6201Z",
    "code NAF : 6202A",
    "the code is 42",
    "code civil, article 1240",
    "area code 415",
    "QR code 1234",
    "langchain-gptoss 1.2.3",
    "gptoss-20b",
    "gptoss-serve-and-index-all-documents-of-the-user",
    "gptoss keys add ada --file keys.toml",
    "compass: north",
    "bypass = true",
    "pass: required",
    "passage: text",
    "secret: none",
    "secretary: Ada",
    "tokens: 4096",
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_secrets_are_masked(text, masked):
    assert MASKER.mask(text) == masked


@pytest.mark.parametrize("text", KEPT)
def test_words_about_secrets_are_kept(text):
    assert MASKER.mask(text) == text


def test_keys_of_the_server_are_masked(tmp_path):
    for number in range(50):
        secret = add_key(tmp_path / "keys.toml", f"caller {number}")
        assert MASKER.mask(f"The key {secret}, please.") == "The key [secret-1], please."
    assert Keys.load(tmp_path / "keys.toml").find_key(secret) is not None


def test_a_key_without_digits_is_masked():
    secret = "gptoss-" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ-_" + "AbCdEfGhIjKlMnO"
    assert MASKER.mask(f"The key {secret}, please.") == "The key [secret-1], please."


@pytest.mark.parametrize(
    ("value", "before", "after", "is_secret"),
    [
        ("sunshine", "password: ", "", True),
        ("sunshine", "the password is ", "", True),
        ("sunshine", "the password is ", " everywhere it seems", False),
        ("sunshine", "my password is ", " everywhere it seems", True),
        ("encrypted", "the password is ", "", False),
        ("l'ancien", "mot de passe : ", "", False),
        ("***", "password: ", "", False),
        ("123", "password: ", "", False),
        ("1234", "password: ", "", True),
    ],
)
def test_words_are_judged_by_their_context(value, before, after, is_secret):
    assert is_announced_password(value, before, after) is is_secret


def test_codes_of_three_digits_belong_to_cards():
    assert is_announced_pin("123", "CVC: ", "")
    assert not is_announced_pin("123", "PIN: ", "")


def test_sentence_after_the_word_passphrase_is_kept():
    assert is_passphrase("cheval correct agrafe pile", "", "")
    assert not is_passphrase("must be at least six words", "", "")
