"""What a service must be told from outside, by environment variables that begin with `MUSUBI_`."""

from typing import Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Unconfigured(Exception):
    """A setting is missing or wrong; the text says which one and how to mend it."""


class Settings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(env_prefix="MUSUBI_", extra="ignore", frozen=True)

    postgres: str = Field(description="where PostgreSQL is, such as postgresql://needs:secret@localhost/musubi")
    kafka: str = Field(description="where Kafka is, such as localhost:9092 (several with commas)")
    incarnation: str = Field(default="", description="which life of the embedded broker this is; empty on a real Kafka")
    public_origin: str = Field(default="http://127.0.0.1:8600", description="the address under which people reach Musubi")
    local_sign_in: bool = Field(default=False, description="one-time sign-in links without a password, on this machine only")
    identity_postgres: str | None = Field(default=None, description="where the identity schema is, if not in `postgres`")
    trace_sampling: float = Field(default=0.01, ge=0, le=1, description="the share of traces that are kept, 0 to 1")
    otlp_endpoint: str | None = Field(default=None, description="where traces go, such as http://localhost:4318")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")
    instance: str = Field(
        default="",
        max_length=200,
        description="a name that this process has again after a restart, such as a stateful set's pod; empty where there is none",
    )
    session_timeout: float = Field(
        default=10,
        ge=1,
        le=300,
        description="seconds of silence after which another process takes over what this one reads; Kafka takes 6 to 300",
    )
    watchdog: float = Field(
        default=60, ge=0, description="a process that hangs for so many seconds ends itself, with exit code 70; 0 is never"
    )
    migrate: bool = Field(default=False, description="apply the migrations at start; else a job has to do it before")

    @classmethod
    def read(cls) -> Self:
        """The settings of the environment; raises `Unconfigured` with one line for each thing to mend."""
        try:
            return cls()  # pyright: ignore[reportCallIssue]  the fields come from the environment
        except ValidationError as error:
            lines = []
            for problem in error.errors():
                name = str(problem["loc"][0])
                field = cls.model_fields.get(name)
                meaning = f": {field.description}" if field and field.description else ""
                what = "is missing" if problem["type"] == "missing" else f"is wrong ({problem['msg']})"
                lines.append(f"MUSUBI_{name.upper()} {what}. Set it to say{meaning or ' so'}.".replace("say: ", "say "))
            raise Unconfigured("\n".join(lines)) from None
