"""A provider is named in full, by an address that nobody can listen to, or the service says what to mend."""

import pytest

from common.settings import Settings, Unconfigured


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"ISSUER": "https://login.example"}, "MUSUBI_OIDC_CLIENT_ID is wrong .*go together"),
        ({"CLIENT_ID": "musubi"}, "MUSUBI_OIDC_CLIENT_ID is wrong .*go together"),
        ({"CLIENT_SECRET": "x"}, "MUSUBI_OIDC_CLIENT_SECRET is wrong .*nothing without"),
        ({"INTERNAL": "http://oidc:5556"}, "MUSUBI_OIDC_INTERNAL is wrong .*nothing without"),
        ({"ISSUER": "http://login.example", "CLIENT_ID": "m"}, "MUSUBI_OIDC_ISSUER is wrong .*begins with https://"),
        ({"ISSUER": "login.example", "CLIENT_ID": "m"}, "MUSUBI_OIDC_ISSUER is wrong"),
        (
            {"ISSUER": "https://l.example", "CLIENT_ID": "m", "INTERNAL": "http://oidc/path"},
            "MUSUBI_OIDC_INTERNAL is wrong .*origin",
        ),
    ],
)
def test_a_provider_that_is_half_said_or_could_be_listened_to_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], told: str
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(f"MUSUBI_OIDC_{name}", value)
    with pytest.raises(Unconfigured, match=told):
        Settings.read(postgres="postgresql:///musubi", kafka="k")


@pytest.mark.parametrize(
    "issuer", ["https://login.example/realms/x", "http://localhost:8600/oidc", "http://musubi.localhost/oidc"]
)
def test_a_provider_is_named_by_its_issuer_and_our_name_there(issuer: str) -> None:
    settings = Settings.read(
        postgres="postgresql:///musubi", kafka="k", oidc_issuer=issuer, oidc_client_id="m", oidc_client_secret="hidden"
    )
    assert settings.oidc_issuer == issuer
    assert "hidden" not in repr(settings)
