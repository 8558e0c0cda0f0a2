"""What a service must be told from outside, by environment variables that begin with `MUSUBI_`."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.kafka_login import KafkaLogin

ESCAPES = "/ # ? @ in a password are written %2F %23 %3F %40"
"""What to say where `names_a_database` says no."""


class Unconfigured(Exception):
    """A setting is missing or wrong; the text says which one and how to mend it."""


class KafkaSettings(BaseSettings):
    """As whom to speak to Kafka: what services and commands need to know alike."""

    model_config = SettingsConfigDict(env_prefix="MUSUBI_", extra="ignore", frozen=True)

    kafka_user: str = Field(default="", description="the name to sign in to Kafka with; empty where it asks nobody's name")
    kafka_password: SecretStr = Field(
        default=SecretStr(""), validate_default=True, description="the password that goes with MUSUBI_KAFKA_USER"
    )
    kafka_mechanism: str = Field(
        default="SCRAM-SHA-512",
        pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$",
        description="how the password is proven: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    )
    kafka_tls: bool = Field(default=False, description="whether to speak TLS to Kafka, true or false")
    kafka_ca: Path | None = Field(
        default=None, description="the file of authorities that Kafka's certificate is checked against, if not the system's"
    )

    @field_validator("kafka_password")
    @classmethod
    def _goes_with_the_user(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(info.data.get("kafka_user")) != bool(value.get_secret_value()):
            raise ValueError("MUSUBI_KAFKA_USER and MUSUBI_KAFKA_PASSWORD go together")
        return value

    @field_validator("kafka_ca")
    @classmethod
    def _holds_certificates(cls, value: Path | None) -> Path | None:
        try:
            ssl.create_default_context(cafile=value)
        except OSError:  # those of TLS are such, too
            raise ValueError("no certificates can be read from it, in PEM") from None
        return value

    @property
    def kafka_login(self) -> KafkaLogin:
        """The same as clients take it."""
        password = self.kafka_password.get_secret_value()
        return KafkaLogin(self.kafka_user, password, self.kafka_mechanism, self.kafka_tls, self.kafka_ca)

    @classmethod
    def read(cls, **said: Any) -> Self:
        """The settings of the environment, but for those that are said here; raises `Unconfigured` with one line for each thing
        to mend."""
        try:
            return cls(**said)
        except ValidationError as error:
            raise Unconfigured("\n".join(map(cls._advice, error.errors()))) from None

    @classmethod
    def _advice(cls, problem: Mapping[str, Any]) -> str:
        """Pydantic's own words are for programmers; ours come in a `ValueError`. The value is not repeated: it may be secret."""
        name = str(problem["loc"][0])
        ours = problem.get("ctx", {}).get("error")
        wrong = f"is wrong ({ours})" if isinstance(ours, ValueError) else "is wrong"
        what = "is missing" if problem["type"] == "missing" else wrong
        return f"MUSUBI_{name.upper()} {what}. Set it to say {cls.model_fields[name].description}."


class Settings(KafkaSettings):
    """What every service needs to know."""

    postgres: str = Field(description="where PostgreSQL is, such as postgresql://needs:secret@localhost/musubi")
    kafka: str = Field(description="where Kafka is, such as localhost:9092 (several with commas)")
    incarnation: str = Field(default="", description="which life of the embedded broker this is; empty on a real Kafka")
    public_origin: str = Field(default="http://127.0.0.1:8600", description="the address under which people reach Musubi")
    local_sign_in: bool = Field(
        default=False, description="whether one-time links sign people in without a password, on this machine only: true or false"
    )
    identity_postgres: str | None = Field(default=None, description="where the identity schema is, if not in `postgres`")
    oidc_issuer: str = Field(
        default="",
        description="the address of the OpenID Connect provider that signs people in, such as https://login.example/realms/city; "
        "empty where nobody signs in so",
    )
    oidc_client_id: str = Field(
        default="", validate_default=True, description="the name under which the provider knows this installation"
    )
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), description="the secret that the provider gave with it; empty where it gave none"
    )
    oidc_internal: str = Field(
        default="",
        description="the origin at which this process itself reaches the provider, if not at the issuer's, such as http://oidc:5556",
    )
    oidc_trusts_email: bool = Field(
        default=False,
        description="whether to believe an e-mail address of which the provider does not say that it was verified, true or "
        "false; true only where its administrators give out every address",
    )
    trace_sampling: float = Field(default=0.01, ge=0, le=1, description="the share of traces that are kept, 0 to 1")
    otlp_endpoint: str | None = Field(default=None, description="where traces go, such as http://localhost:4318")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")
    instance: str = Field(
        default="",
        max_length=200,
        description="a name of up to 200 characters that this process has again after a restart, such as a stateful set's pod; "
        "empty where there is none",
    )
    session_timeout: float = Field(
        default=10,
        ge=1,
        le=300,
        description="seconds of silence, 1 to 300, after which another process takes over what this one reads; Kafka takes "
        "6 and more",
    )
    watchdog: float = Field(
        default=60, ge=0, description="a process that hangs for so many seconds ends itself, with exit code 70; 0 is never"
    )
    migrate: bool = Field(
        default=False, description="whether to apply the migrations at start, true or false; else a job has to do it before"
    )

    @field_validator("postgres", "identity_postgres")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value and not names_a_database(value):
            raise ValueError(f"it cannot be read as an address; {ESCAPES}")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _cannot_be_listened_to(cls, value: str) -> str:
        parts = urlsplit(value)
        safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if value and not (safe and parts.hostname and not parts.query and not parts.fragment):
            raise ValueError("it begins with https:// (http:// only on this machine) and has neither ? nor #")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _goes_with_the_issuer(cls, value: str, info: ValidationInfo) -> str:
        if "oidc_issuer" in info.data and bool(info.data["oidc_issuer"]) != bool(value):
            raise ValueError("MUSUBI_OIDC_ISSUER and MUSUBI_OIDC_CLIENT_ID go together")
        return value

    @field_validator("oidc_client_secret", "oidc_internal")
    @classmethod
    def _needs_the_issuer(cls, value: Any, info: ValidationInfo) -> Any:
        said = value.get_secret_value() if isinstance(value, SecretStr) else value
        if said and info.data.get("oidc_issuer") == "":
            raise ValueError("it says nothing without MUSUBI_OIDC_ISSUER and MUSUBI_OIDC_CLIENT_ID")
        return value

    @field_validator("oidc_internal")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/")):
            raise ValueError("it is an origin without a path, such as http://oidc:5556")
        return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a name can only mean this very machine."""
    return host in ("127.0.0.1", "::1", "localhost") or host.endswith(".localhost")


def names_a_database(address: str) -> bool:
    """Whether an address can be read as PostgreSQL's. A / # ? or @ in its password would cut it off at the wrong place, and
    pieces of the password would pass for the host, the port or the database."""
    try:
        parts = urlsplit(address)
        login, _, hosts = parts.netloc.rpartition("@")
        for host in hosts.split(","):
            _ = urlsplit(f"//{host}").port  # raises, if it is no number
        if parts.query:
            parse_qs(parts.query, strict_parsing=True)
    except ValueError:
        return False
    return "@" not in login + parts.path and not parts.fragment
